// What the package's tests expect of errors.

import assert from "node:assert/strict";
import { OodError } from "itp-ood";

/** An assertion on the code and on words that the message must hold. */
export const fails =
  (code, ...words) =>
  (error) => {
    assert.ok(error instanceof OodError, `not an OodError: ${error.stack}`);
    assert.equal(error.name, "OodError");
    assert.equal(error.code, code, error.message);
    for (const word of words) assert.match(error.message, word);
    return true;
  };
