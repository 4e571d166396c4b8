/** Where a node takes links of others: a unix socket on its machine, or a TCP port. Plain data. */
export type PeerAddress = PeerPath | PeerHost;

export interface PeerPath {
  /** Of the socket; with the `.tmp` that it has at first at most 107 bytes on Linux, 103 elsewhere. */
  readonly path: string;
}

export interface PeerHost {
  readonly host: string;
  readonly port: number;
  /** Both sides show a certificate. Without it a link over TCP is for trusted networks only. */
  readonly tls?: PeerTls;
}

/** Names of PEM files of this node, read at each listen and each dial. */
export interface PeerTls {
  readonly certFile: string;
  readonly keyFile: string;
  /** Who signed the certificates of the other nodes. */
  readonly caFile: string;
  readonly passphrase?: string;
  /** The name that the other node's certificate must bear, where it is not the host that is dialed. */
  readonly serverName?: string;
}
