export {
  alignRecord,
  PADDING_TYPE,
  RECORD_ALIGNMENT,
  RECORD_HEADER_BYTES,
} from "./ring/ring-layout.ts";
