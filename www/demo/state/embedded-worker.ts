// The worker of the page as a single file: the package's own, with blobs sent as bytes.

import "itp-ood/worker";
import { unpack } from "./bytes.js";

const scope = globalThis as unknown as { onmessage: (event: { data: unknown }) => void };
const handle = scope.onmessage;
scope.onmessage = ({ data }) => handle({ data: unpack(data) });
