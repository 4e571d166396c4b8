/** `read`, `findTime`: bytes on the disk are not what was written; `error` has file and position. */
export const READ_DAMAGED = -1;
/** `read`: not even one entry fits; `neededBytes` says how many bytes the first takes. */
export const READ_NEEDS_ROOM = -2;
/** `read`, `findTime`: the file system failed; `error` says how. Worth another try. */
export const READ_FAILED = -3;
/** `findTime`: no entry there is late enough. The one wanted, if any, is the first at or behind `nextOffset`. */
export const TIME_NOT_FOUND = -4;
/** `read`, `findTime`: the search takes long. Ask the same again, after others had their turn. */
export const READ_UNFINISHED = -5;
/** `read`: what the shard pointed at was settled or dropped in the meantime. Ask the shard again. */
export const READ_MOVED = -6;
