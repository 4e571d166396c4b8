import { readFileSync, realpathSync, statfsSync } from "node:fs";
import { MillraceError } from "@millrace/protocol";

/** What a folder is on. */
export interface FileSystem {
  /** `ext4`; hexadecimal where it is none of those below. */
  readonly name: string;
  /** Whether other machines can be writing there at the same time; `perhaps` where the name does not tell. */
  readonly isShared: "yes" | "perhaps" | "no";
}

/** `f_type` of statfs(2) on Linux, where Node says it; elsewhere the numbers mean other things. */
const SHARED: ReadonlyMap<number, string> = new Map([
  [0x6969, "nfs"],
  [0x517b, "smbfs"],
  [0xff534d42, "cifs"],
  [0xfe534d42, "smb3"],
  [0x00c36400, "ceph"],
  [0x0bd00bd0, "lustre"],
  [0x47504653, "gpfs"],
  [0x5346414f, "afs"],
  [0x6b414653, "kafs"],
  [0x01161970, "gfs2"],
  [0x7461636f, "ocfs2"],
  [0x73757245, "coda"],
  [0x20030528, "orangefs"],
  [0x19830326, "fhgfs"],
]);

/** A program or another system stands behind them: a local disk, or what it likes. */
const UNTOLD: ReadonlyMap<number, string> = new Map([
  [0x65735546, "fuse"],
  [0x01021997, "9p"],
  [0x786f4256, "vboxsf"],
]);

const LOCAL: ReadonlyMap<number, string> = new Map([
  [0xef53, "ext4"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x2fc12fc1, "zfs"],
  [0xf2f52010, "f2fs"],
  [0x794c7630, "overlay"],
  [0x01021994, "tmpfs"],
  [0x4d44, "vfat"],
  [0x2011bab0, "exfat"],
  [0x5346544e, "ntfs"],
  [0x7366746e, "ntfs3"],
  [0xca451a4e, "bcachefs"],
]);

/** @throws what the system says of a path that is not there or may not be looked at */
export function fileSystemOf(path: string): FileSystem {
  if (process.platform !== "linux") return { name: process.platform, isShared: "perhaps" };
  const found = fileSystemOfType(statfsSync(path).type);
  const mount = found.isShared === "perhaps" ? mountHere(path) : undefined;
  return mount === undefined ? found : { name: mount.type, isShared: sharingOf(mount) };
}

/**
 * A data folder is for one machine: its lock is a socket of that one, and whether a shard has a new owner is seen by names, which
 * other machines may see late. Where one cannot tell, the operator is believed.
 * @throws MillraceError DATA_DIR_UNUSABLE (details.reason `network-file-system`); what the system says of the path
 */
export function refuseNetworkFileSystem(dataDir: string): void {
  const { name, isShared } = fileSystemOf(dataDir);
  if (isShared !== "yes") return;
  throw new MillraceError(
    "DATA_DIR_UNUSABLE",
    `the data folder is on a network file system (${name}), where nobody can be sure to have it alone: ${dataDir}`,
    { details: { reason: "network-file-system", fileSystem: name, dataDir } },
  );
}

export function fileSystemOfType(type: number): FileSystem {
  // 32 bits, with or without a sign.
  const magic = type >>> 0;
  const shared = SHARED.get(magic);
  if (shared !== undefined) return { name: shared, isShared: "yes" };
  const untold = UNTOLD.get(magic);
  if (untold !== undefined) return { name: untold, isShared: "perhaps" };
  return { name: LOCAL.get(magic) ?? `0x${magic.toString(16)}`, isShared: "no" };
}

/** One of the file systems that the system shows. */
interface Mount {
  readonly point: string;
  readonly type: string;
  readonly options: string;
}

/** Programs that are a way to other machines. */
const SHARED_FUSE =
  /^fuse\.(sshfs|s3fs|s3ql|goofys|gcsfuse|mount-s3|mountpoint-s3|rclone|glusterfs|ceph|ceph-fuse|davfs2?|curlftpfs|juicefs|mfs|moosefs|lizardfs|saunafs|seaweedfs|weed|smbnetfs|blobfuse2?|objectivefs|cvmfs2?|nfs|xtreemfs)$/;
/** 9p is usually a folder of this machine's host; these are ways to others. */
const SHARED_9P = /(^|,)trans=(tcp|rdma)(,|$)/;

/** What the name and options of a mount say that its number does not. */
export function sharingOf({ type, options }: Pick<Mount, "type" | "options">): FileSystem["isShared"] {
  if (SHARED_FUSE.test(type) || (type === "9p" && SHARED_9P.test(options))) return "yes";
  return type === "fuseblk" ? "no" : "perhaps";
}

function mountHere(path: string): Mount | undefined {
  try {
    return mountOf(realpathSync(path), mountsOf(readFileSync("/proc/self/mountinfo", "utf8")));
  } catch {
    // Without /proc the number is all there is.
    return undefined;
  }
}

/** What /proc/self/mountinfo says: `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`. */
export function mountsOf(mountinfo: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of mountinfo.split("\n")) {
    const [left = "", right = ""] = line.split(" - ", 2);
    const point = left.split(" ")[4];
    const [type = "", , options = ""] = right.split(" ");
    if (point !== undefined && type !== "") mounts.push({ point: unescaped(point), type, options });
  }
  return mounts;
}

/** The mount that shows at this absolute path: the last one of those with the longest way to it. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  let found: Mount | undefined;
  for (const mount of mounts) {
    const { point } = mount;
    const isAbove = path === point || path.startsWith(point.endsWith("/") ? point : `${point}/`);
    if (isAbove && point.length >= (found?.point.length ?? 0)) found = mount;
  }
  return found;
}

/** Spaces and the like stand there in octal. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
