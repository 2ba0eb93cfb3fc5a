/**
 * TLS as gRPC takes it: credentials for the server and for each channel that always use the newest
 * certificates, at least TLS 1.2, the names of both sides checked.
 * The runtime refuses an IP address as the name that a client hello asks for, and gRPC would put the
 * address of the target there: a placeholder stands in, and the certificate is compared with the address.
 * gRPC's module is handed in, since a node alone never loads it.
 */
import { checkServerIdentity, createSecureContext, type PeerCertificate } from "node:tls";
import { isIP, type Socket } from "node:net";
import type * as Grpc from "@grpc/grpc-js";
import type { PeerTls, TlsMaterial } from "./peer_tls.ts";

const VERSION_MIN = "TLSv1.2";
/** Asked for in place of an address. */
const NAME_OF_ADDRESS = "peer.dust.invalid";

/** How the peer port is served. Without `tls` in the clear. */
export function serverCredentials(
  grpc: typeof Grpc,
  tls: PeerTls | undefined,
): Grpc.ServerCredentials {
  if (tls === undefined) return grpc.ServerCredentials.createInsecure();
  const { verifiesClients, clientCommonName } = tls.settings;
  const context = ({ certificate, key, ca }: TlsMaterial): SecureContextOptions => ({
    cert: certificate,
    key,
    minVersion: VERSION_MIN,
    ...(ca === undefined ? {} : { ca }),
  });
  class PeerServerCredentials extends grpc.ServerCredentials {
    constructor(material: TlsMaterial) {
      super({
        requestCert: verifiesClients,
        rejectUnauthorized: verifiesClients,
        minVersion: VERSION_MIN,
      }, context(material));
    }
    update(material: TlsMaterial): void {
      this.updateSecureContextOptions(context(material));
    }
    override _getInterceptors(): Grpc.ServerInterceptor[] {
      return clientCommonName === undefined ? [] : [nameCheck(grpc, clientCommonName)];
    }
    override _equals(other: Grpc.ServerCredentials): boolean {
      return this === other;
    }
  }
  const credentials = new PeerServerCredentials(tls.material);
  tls.onChange((material) => credentials.update(material));
  return credentials;
}

type SecureContextOptions = NonNullable<Parameters<typeof createSecureContext>[0]>;

/** Refuses every call of a connection whose certificate has another common name. */
function nameCheck(grpc: typeof Grpc, commonName: string): Grpc.ServerInterceptor {
  return (_method, call) => {
    const subject = call.getAuthContext().sslPeerCertificate?.subject;
    if (subject?.CN === commonName) return new grpc.ServerInterceptingCall(call);
    const refusal = {
      code: grpc.status.PERMISSION_DENIED,
      details: `Cannot accept this node: the common name of its certificate is ${
        JSON.stringify(subject?.CN ?? "")
      }, wanted is ${JSON.stringify(commonName)}`,
    };
    return new grpc.ServerInterceptingCall(call, {
      start: () => call.sendStatus(refusal),
    });
  };
}

/** How `address` (`host:port`) is dialed. Without `tls` in the clear. */
export function channelCredentials(
  grpc: typeof Grpc,
  options: {
    readonly tls: PeerTls | undefined;
    readonly address: string;
    /** Hears of each connection that is made, of the socket that gRPC writes to. */
    readonly onSocket?: (socket: Socket) => void;
  },
): Grpc.ChannelCredentials {
  const { tls, address, onSocket } = options;
  const expectedName = tls?.settings.serverName ?? hostOf(address);
  const askedName = isIP(expectedName) === 0 ? expectedName : NAME_OF_ADDRESS;
  class PeerChannelCredentials extends grpc.ChannelCredentials {
    override _isSecure(): boolean {
      return tls !== undefined;
    }
    override _equals(other: Grpc.ChannelCredentials): boolean {
      return this === other;
    }
    override _createSecureConnector(
      target: Parameters<Grpc.ChannelCredentials["_createSecureConnector"]>[0],
      options: Grpc.ChannelOptions,
      calls?: Grpc.CallCredentials,
    ): Grpc.experimental.SecureConnector {
      const named = { ...options, "grpc.ssl_target_name_override": askedName };
      return {
        connect: async (socket) => {
          // Made now, when the socket is there: the certificates may be others than a while ago.
          const connected = await currentCredentials(grpc, { tls, expectedName })
            ._createSecureConnector(target, named, calls).connect(socket);
          onSocket?.(connected.socket);
          return connected;
        },
        waitForReady: () => Promise.resolve(),
        getCallCredentials: () => calls ?? grpc.CallCredentials.createEmpty(),
        destroy: () => {},
      };
    }
  }
  return new PeerChannelCredentials();
}

function currentCredentials(
  grpc: typeof Grpc,
  { tls, expectedName }: { readonly tls: PeerTls | undefined; readonly expectedName: string },
): Grpc.ChannelCredentials {
  if (tls === undefined) return grpc.credentials.createInsecure();
  const { certificate, key, ca } = tls.material;
  const context = createSecureContext({
    cert: certificate,
    key,
    minVersion: VERSION_MIN,
    ...(ca === undefined ? {} : { ca }),
  });
  return grpc.credentials.createFromSecureContext(context, {
    rejectUnauthorized: tls.settings.verifiesServers,
    checkServerIdentity: (_askedName: string, certificate: PeerCertificate) =>
      tls.settings.verifiesServers ? checkServerIdentity(expectedName, certificate) : undefined,
  });
}

/** The host of `host:port`, without the brackets of an IPv6 address. */
function hostOf(address: string): string {
  const host = address.slice(0, address.lastIndexOf(":"));
  return host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
}
