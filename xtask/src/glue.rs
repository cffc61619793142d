//! Changes to the JavaScript that wasm-bindgen writes.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use walrus::Module;

/// Gives the functions that the engine imports short names: theirs hold a hash each, which no
/// compression makes smaller.
pub fn shorten_imports(module: &mut Module, glue: &Path) -> Result<()> {
    let mut text = fs::read_to_string(glue)?;
    for (number, import) in module.imports.iter_mut().enumerate() {
        let (long, short) = (format!(" {}: function", import.name), format!("i{number}"));
        ensure!(text.matches(&long).count() == 1, "the glue does not define {}", import.name);
        text = text.replace(&long, &format!(" {short}: function"));
        import.name = short;
    }
    fs::write(glue, text)?;
    Ok(())
}

/// Says once what each method says, and leaves out what never does anything.
pub fn shorten_methods(glue: &Path) -> Result<()> {
    const ID: &str = "__wbg_inst !== __wbg_instance_id";
    const STALE: &str = "throw new Error('Invalid stale object from previous Wasm instance');";
    let mut text = fs::read_to_string(glue)?;
    for of in ["this", "(engine)"] {
        let check = |indent: &str| {
            format!(
                "if ({of}.__wbg_inst !== undefined && {of}.{ID}) {{\n{indent}    {STALE}\n{indent}}}"
            )
        };
        ensure!(text.contains(&check("        ")), "the glue does not check {of}'s instance");
        for indent in ["        ", "            "] {
            text = text.replace(&check(indent), &format!("checkInstance({of});"));
        }
    }
    ensure!(!text.contains(&format!("    {STALE}")), "the glue has another check of an instance");
    text.push_str(&format!("\nfunction checkInstance(of) {{\n    if (of.{ID}) {STALE}\n}}\n"));
    // Only an import that the engine lacks schedules a new instance.
    ensure!(!text.contains("__wbg_reinit_scheduled = true"), "the glue may schedule an instance");
    text = text.replace("    __wbg_call_guard();\n", "");
    fs::write(glue, text)?;
    Ok(())
}

/// Puts a short description of values in the place of the long one; it is for messages only.
pub fn shorten_debug_string(glue: &Path) -> Result<()> {
    const START: &str = "function debugString(val) {";
    let text = fs::read_to_string(glue)?;
    let Some((before, rest)) = text.split_once(START) else {
        anyhow::bail!("the glue has no debugString")
    };
    let after = rest.split_once("\n}\n").map_or("", |(_, after)| after);
    let body = "return Object.prototype.toString.call(val);";
    fs::write(glue, format!("{before}{START}\n    {body}\n}}\n{after}"))?;
    Ok(())
}

/// Lets the module be imported where there is no `TextDecoder` (jsdom): only starting it needs one.
pub fn allow_import_without_text_decoder(glue: &Path) -> Result<()> {
    let mut text = fs::read_to_string(glue)?;
    for (from, to) in [
        ("let cachedTextDecoder = new", "let cachedTextDecoder = globalThis.TextDecoder && new"),
        ("\ncachedTextDecoder.decode();", "\ncachedTextDecoder?.decode();"),
        (
            "const cachedTextEncoder = new TextEncoder();",
            "const cachedTextEncoder = globalThis.TextEncoder ? new TextEncoder() : {};",
        ),
    ] {
        ensure!(text.matches(from).count() == 1, "the glue does not say `{from}` once");
        text = text.replace(from, to);
    }
    fs::write(glue, text)?;
    Ok(())
}
