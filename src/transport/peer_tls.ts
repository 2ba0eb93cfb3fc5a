/**
 * The certificates of the peer port: read from their files, checked to belong together, read again while
 * the node runs. A file that is half written, or a key that fits no certificate, changes nothing.
 * Invariant: `material` is always a certificate and its own key.
 * Not here: what gRPC makes of them (peer_credentials.ts); who may be a peer at all (peer_identity.ts).
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { FatalError, OperatingError } from "../base/errors.ts";
import { runInBackground } from "../base/background.ts";
import type { Clock, Timer } from "../os/clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import { TLS_RELOAD_INTERVAL_MS } from "./limits.ts";

/** What the operator asks for. */
export interface PeerTlsSettings {
  /** PEM, the node's own certificate first, then those between it and the authority. */
  readonly certificatePath: string;
  /** PEM, not encrypted. */
  readonly keyPath: string;
  /** PEM, those who vouch for peers; undefined: those that the runtime trusts. */
  readonly caPath: string | undefined;
  /** Whether a node that is dialed must have a certificate that is vouched for; only false with `--node-no-verify`. */
  readonly verifiesServers: boolean;
  /** Whether a node that dials in must. */
  readonly verifiesClients: boolean;
  /** The name expected in the certificate of a node that is dialed; undefined: its host. */
  readonly serverName: string | undefined;
  /** The common name expected in the certificate of a node that dials in; undefined: any. Needs `verifiesClients`. */
  readonly clientCommonName: string | undefined;
}

/** The content of the files, PEM. */
export interface TlsMaterial {
  readonly certificate: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | undefined;
}

/** TLS of the peer port. */
export class PeerTls {
  readonly settings: PeerTlsSettings;
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  #material: TlsMaterial;
  #timer: Timer | undefined;

  /** Use `load`. */
  constructor(options: { readonly settings: PeerTlsSettings; readonly material: TlsMaterial }) {
    this.settings = options.settings;
    this.#material = options.material;
  }

  /** Reads the files for the first time. @throws {FatalError} (1) when they cannot be used. */
  static async load(settings: PeerTlsSettings): Promise<PeerTls> {
    try {
      return new PeerTls({ settings, material: await readMaterial(settings) });
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      throw new FatalError(1, error.message, { cause: error });
    }
  }

  /** What new connections use. */
  get material(): TlsMaterial {
    return this.#material;
  }

  /** Calls `listener` with each new material, as long as this object lives. */
  onChange(listener: (material: TlsMaterial) => void): void {
    this.#listeners.add(listener);
  }

  /**
   * Reads the files again. Connections that are open stay as they are.
   * @returns whether there was anything new.
   * @throws {OperatingError} `conflict` when they cannot be used: what was there stays.
   */
  async reload(): Promise<boolean> {
    const material = await readMaterial(this.settings);
    if (isSameMaterial(material, this.#material)) return false;
    this.#material = material;
    for (const listener of this.#listeners) listener(material);
    return true;
  }

  /** Reads the files again now and then, until `close`. */
  startReloading(options: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly onBug: (error: unknown) => void;
  }): void {
    this.#timer = options.clock.startTimer(TLS_RELOAD_INTERVAL_MS, () => {
      const again = async (): Promise<void> => {
        await this.#reloadAndTell(options.logger);
        if (this.#timer !== undefined) this.startReloading(options);
      };
      runInBackground(again(), options.onBug);
    });
  }

  /** Reads no more. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  async #reloadAndTell(logger: Logger): Promise<void> {
    try {
      if (await this.reload()) logger.info("Certificates of the peer port were read again");
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      logger.warn("Certificates of the peer port stay as they were", { error });
    }
  }
}

async function readMaterial(settings: PeerTlsSettings): Promise<TlsMaterial> {
  const { certificatePath, keyPath, caPath } = settings;
  const certificate = await readPem(certificatePath);
  const key = await readPem(keyPath);
  const ca = caPath === undefined ? undefined : await readPem(caPath);
  const parsed = parse(certificatePath, () => new X509Certificate(certificate));
  const privateKey = parse(keyPath, () => createPrivateKey(key));
  if (!parsed.checkPrivateKey(privateKey)) {
    throw new OperatingError(
      "conflict",
      `Cannot use ${keyPath}: not the key of ${certificatePath}`,
    );
  }
  if (caPath !== undefined && ca !== undefined) parse(caPath, () => new X509Certificate(ca));
  return { certificate, key, ca };
}

async function readPem(path: string): Promise<Buffer> {
  try {
    return Buffer.from(await Deno.readFile(path));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new OperatingError("conflict", `Cannot read ${path}: ${reason}`, { cause: error });
  }
}

/** Whatever the parser throws, the file is what is wrong. */
function parse<T>(path: string, parser: () => T): T {
  try {
    return parser();
  } catch (error) {
    throw new OperatingError("conflict", `Cannot use ${path}: not a PEM file of this kind`, {
      cause: error,
    });
  }
}

function isSameMaterial(left: TlsMaterial, right: TlsMaterial): boolean {
  return left.certificate.equals(right.certificate) && left.key.equals(right.key) &&
    (left.ca ?? Buffer.alloc(0)).equals(right.ca ?? Buffer.alloc(0));
}
