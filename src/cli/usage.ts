/**
 * `dust --help`: which commands there are, then the flags of a node, since that is what most people
 * look for. The other commands have a help text of their own.
 */
import { serveHelp } from "../config/config.ts";

const COMMANDS = `Dust: a replicated SQL database in one executable.

  dust [serve] [flags] DATA_DIR    Run a node
  dust shell [options]             Open an SQL shell on a running node
  dust bench [options]             Put load on a running node and measure it
  dust check DATA_DIR              Look at the data of a stopped node, and change nothing
  dust recover DATA_DIR...         Go on when a majority is lost for good
  dust --version                   Print the version

Ask each command for its own help: dust shell --help, dust check --help.
`;

/** The whole text, ending in a newline. */
export function usage(): string {
  return `${COMMANDS}\n${serveHelp()}`;
}
