// Counts of passed, failed and skipped tests, summed over cargo's and node's test runners.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { at } from "./tools.mjs";

export class Tally {
  passed = 0;
  failed = 0;
  /** Names of those that failed, with what they said where that is known. */
  failures = [];
  /** Those that passed at the second try, with what they said at the first; they count as passed. */
  unsteady = [];
  /** Each with its reason. */
  skipped = [];

  /** Adds one that failed. */
  fail(name) {
    this.failed++;
    this.failures.push(name);
  }

  /** Adds an event of node's test runner, "test:pass" or "test:fail". */
  addEvent(passed, event) {
    const { name, skip, todo } = event;
    if (isSuite(event)) return;
    const left = skip ?? todo;
    if (left !== undefined) this.skipped.push(typeof left === "string" && left ? `${name}: ${left}` : name);
    else if (passed) this.passed++;
    else this.fail(named(event));
  }

  /**
   * Adds what `cargo test -- --show-output` printed. Rust's tests can't skip themselves; one that
   * passes and says "skipped: ..." first had nothing to test with, and counts as skipped.
   */
  addCargo(output, code) {
    const before = this.failed;
    for (const [, name] of output.matchAll(/^test (\S+) .*\.\.\. FAILED$/gm)) this.failures.push(name);
    for (const [, passed, failed] of output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed/gm)) {
      this.passed += Number(passed);
      this.failed += Number(failed);
    }
    for (const [, name, reason] of output.matchAll(/^test (\S+) .*\.\.\. ignored(.*)$/gm)) {
      this.skipped.push(name + reason.replace(/^, /, ": "));
    }
    for (const [, name, reason] of output.matchAll(/^---- (\S+) stdout ----\nskipped: (.*)$/gim)) {
      this.skipped.push(`${name}: ${reason}`);
      this.passed--;
    }
    // A build that broke, or a test that took its runner down, left no count.
    if (code !== 0 && this.failed === before) this.fail("cargo test itself");
  }

  /** Adds what pytest wrote as JUnit XML. Of a file that is skipped whole, its text has the reason, not its message. */
  addJUnit(xml, code) {
    const before = this.failed;
    for (const [, name, rest] of xml.matchAll(/<testcase [^>]*?\bname="([^"]*)"[^>]*?(\/>|>[\s\S]*?<\/testcase>)/g)) {
      const skipped = /"Skipped: ([^"]*)"/.exec(rest) ?? /<skipped [^>]*?message="([^"]*)"/.exec(rest);
      if (skipped) this.skipped.push(`${name}: ${skipped[1]}`);
      else if (/<(failure|error)\b/.test(rest)) this.fail(name);
      else this.passed++;
    }
    if (code !== 0 && this.failed === before) this.fail("pytest itself");
  }

  /** The last line of `npm test` and `.ci/run`. */
  toString() {
    return `${this.passed} passed, ${this.failed} failed, ${this.skipped.length} skipped`;
  }

  /** Prints what was skipped and why, what failed, then the counts. */
  print() {
    const list = (title, names) => names.length > 0 && console.log(`\n${title}:\n${names.map((name) => `  ${name}`).join("\n")}`);
    list("Skipped", this.skipped);
    list("Unsteady (failed, then passed by themselves)", this.unsteady);
    list("Failed", this.failures);
    console.log(`\n${this}`);
  }

  /** Keeps the counts for `.ci/run`. */
  save(name) {
    mkdirSync(at("target"), { recursive: true });
    writeFileSync(at("target", `${name}.json`), JSON.stringify({ ...this }));
  }

  /** Adds counts that were saved; none at all means that their run broke off. */
  load(name) {
    try {
      const { passed, failed, failures, unsteady, skipped } = JSON.parse(readFileSync(at("target", `${name}.json`), "utf8"));
      this.passed += passed;
      this.failed += failed;
      this.failures.push(...failures);
      this.unsteady.push(...unsteady);
      this.skipped.push(...skipped);
    } catch {
      this.fail(`${name}: broke off`);
    }
  }
}

/** Whether an event is of a group of tests, which has events of its own. */
export const isSuite = ({ details }) => details.type === "suite";

/** The name of a failed test of node's test runner, with what it says. */
export function named({ name, details: { error } }) {
  const { message } = error?.cause ?? error ?? {};
  const line = String(message ?? "no message")
    .replace(/\s+/g, " ")
    .trim();
  return `${name}: ${line.length > 300 ? `${line.slice(0, 300)} …` : line}`;
}
