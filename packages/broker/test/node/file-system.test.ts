import { tmpdir } from "node:os";
import t from "tap";
import { fileSystemOf, fileSystemOfType, mountOf, mountsOf, sharingOf } from "../../src/node/file-system.ts";

t.test("network file systems are told from local ones", async (t) => {
  t.same(fileSystemOfType(0x6969), { name: "nfs", isShared: "yes" });
  t.same(fileSystemOfType(0xff534d42), { name: "cifs", isShared: "yes" });
  t.same(fileSystemOfType(0xff534d42 | 0), { name: "cifs", isShared: "yes" }, "with a sign");
  t.same(fileSystemOfType(0x65735546), { name: "fuse", isShared: "perhaps" });
  t.same(fileSystemOfType(0xef53), { name: "ext4", isShared: "no" });
  t.same(fileSystemOfType(0x12345678), { name: "0x12345678", isShared: "no" });
});

t.test("of a folder", async (t) => {
  const { name, isShared } = fileSystemOf(tmpdir());
  t.ok(name.length > 0);
  t.ok(["yes", "perhaps", "no"].includes(isShared));
  if (process.platform === "linux") t.throws(() => fileSystemOf("/is/not/there"), { code: "ENOENT" });
});

const MOUNTINFO = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:40 / /srv/with\\040space rw,relatime shared:7 master:1 - nfs4 server:/export rw,vers=4.2
41 27 0:41 / /srv rw,relatime - xfs /dev/vdb rw
42 41 0:42 / /srv/data rw,relatime - fuse.sshfs me@host:/x rw,user_id=0
43 41 0:43 / /srv/data rw,relatime - tmpfs tmpfs rw
`;

t.test("the mount of a path is the longest, and of those the last", async (t) => {
  const mounts = mountsOf(MOUNTINFO);
  const type = (path: string): string | undefined => mountOf(path, mounts)?.type;
  t.equal(type("/"), "ext4");
  t.equal(type("/srvx/data"), "ext4");
  t.equal(type("/srv"), "xfs");
  t.equal(type("/srv/other/deep"), "xfs");
  t.equal(type("/srv/data/millrace"), "tmpfs", "what was mounted over it later");
  t.equal(type("/srv/with space/x"), "nfs4");
});

t.test("what stands behind a program or another system", async (t) => {
  for (const type of ["fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.ceph-fuse"]) {
    t.equal(sharingOf({ type, options: "rw" }), "yes", type);
  }
  for (const type of ["fuse", "fuse.what", "vboxsf", "virtiofs"]) {
    t.equal(sharingOf({ type, options: "rw" }), "perhaps", type);
  }
  t.equal(sharingOf({ type: "fuseblk", options: "rw" }), "no", "a disk");
  t.equal(sharingOf({ type: "9p", options: "rw,trans=tcp,port=564" }), "yes");
  t.equal(sharingOf({ type: "9p", options: "rw,aname=drvfs,trans=fd" }), "perhaps", "a folder of the host");
});
