// Prints the sum of what `npm test` and `npm run check` counted.

import { Tally } from "./tally.mjs";

const total = new Tally();
total.load("tests");
total.load("checks");
total.print();
