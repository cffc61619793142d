//! The engine: cargo, then wasm-bindgen as a library, then, for a release, wasm-opt.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use walrus::ir::Instr;
use walrus::{ExportItem, FunctionId, FunctionKind};
use wasm_bindgen_cli_support::Bindgen;

use crate::glue::{
    allow_import_without_text_decoder, shorten_debug_string, shorten_imports, shorten_methods,
};
use crate::relax::relax;
use crate::strip_unused::strip_unused;

/// What the target's default features and our simd128 let the compiler use.
const WASM_FEATURES: &[&str] = &[
    "--enable-simd",
    "--enable-relaxed-simd",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Builds `www/lib/engine.{js,d.ts,wasm}` and `www/lib/engine-relaxed.wasm`, in the profile that
/// ships or in the one that compiles faster. Only asks cargo if they are fresh.
pub fn build(root: &Path, release: bool) -> Result<()> {
    let compiled = compile(root, if release { "wasm" } else { "wasm-dev" })?;
    let out = root.join("www/lib");
    let stamp = target_directory(root).join("engine.stamp");
    let recipe = recipe(&compiled, release)?;
    let outputs = ["engine.js", "engine.d.ts", "engine.wasm", "engine-relaxed.wasm"]
        .map(|name| out.join(name));
    if outputs.iter().all(|path| path.exists())
        && fs::read_to_string(&stamp).is_ok_and(|old| old == recipe)
    {
        return Ok(());
    }
    check_constructors(&compiled)?;

    let staging = target_directory(root).join("engine");
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(&compiled)
        .out_name("engine")
        .web(true)?
        // The package's own entry points name the wasm file; a second mention here would make
        // bundlers emit it twice.
        .omit_default_module_path(true)
        // After a trap the instance is replaced where there is no worker to replace.
        .reset_state_function(true)
        .typescript(true);
    bindgen.generate(&staging).context("wasm-bindgen")?;
    add_begin(&staging)?;
    let glue = staging.join("engine.js");
    allow_import_without_text_decoder(&glue)?;
    shorten_debug_string(&glue)?;
    shorten_methods(&glue)?;

    let wasm = staging.join("engine_bg.wasm");
    let mut module = walrus::ModuleConfig::new().generate_name_section(false).parse_file(&wasm)?;
    strip_unused(&mut module)?;
    shorten_imports(&mut module, &glue)?;
    module.emit_wasm_file(&wasm)?;
    let relaxed = staging.join("engine-relaxed.wasm");
    let sums = relax(&mut module)?;
    module.emit_wasm_file(&relaxed)?;
    if release {
        run_wasm_opt(root, &[&wasm, &relaxed])?;
    }
    let copies = [
        (staging.join("engine.js"), &outputs[0]),
        (staging.join("engine.d.ts"), &outputs[1]),
        (wasm, &outputs[2]),
        (relaxed, &outputs[3]),
    ];
    for (from, to) in &copies {
        fs::copy(from, to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
    }
    fs::write(&stamp, recipe)?;
    let bytes = fs::metadata(&outputs[2])?.len();
    println!("engine.wasm: {bytes} bytes{}", if release { ", optimised" } else { "" });
    println!("engine-relaxed.wasm: {sums} sums of products in one instruction each");
    Ok(())
}

/// Writes both files of a compiled engine without their names, as they ship.
pub fn split(compiled: &Path, plain: &Path, relaxed: &Path) -> Result<()> {
    let mut module =
        walrus::ModuleConfig::new().generate_name_section(false).parse_file(compiled)?;
    module.emit_wasm_file(plain)?;
    relax(&mut module)?;
    module.emit_wasm_file(relaxed)
}

fn compile(root: &Path, profile: &str) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["rustc", "--package", "itp-ood-wasm", "--lib", "--crate-type", "cdylib"])
        .args(["--target", "wasm32-unknown-unknown", "--profile", profile])
        .status()
        .context("cargo could not be started")?;
    ensure!(status.success(), "the engine does not compile");
    let folder = target_directory(root).join("wasm32-unknown-unknown").join(profile);
    Ok(folder.join("itp_ood_wasm.wasm"))
}

/// Adds a way to start the engine: asynchronous, since browsers refuse a large module to
/// `initSync` on a page's own thread, and without all that `init` brings for fetching the file,
/// which the package does by itself and every bundle would carry.
fn add_begin(staging: &Path) -> Result<()> {
    const BEGIN: &str = "
export async function begin(module) {
    if (wasm !== undefined) return;
    const instance = await WebAssembly.instantiate(module, __wbg_get_imports());
    if (wasm === undefined) __wbg_finalize_init(instance, module);
}
";
    const TYPES: &str = "
/** Starts the engine, once. */
export function begin(module: WebAssembly.Module): Promise<void>;
";
    for (name, addition) in [("engine.js", BEGIN), ("engine.d.ts", TYPES)] {
        let path = staging.join(name);
        let mut text = fs::read_to_string(&path)?;
        let known =
            ["function __wbg_get_imports()", "function __wbg_finalize_init(instance, module)"];
        ensure!(
            name != "engine.js" || known.iter().all(|name| text.contains(name)),
            "wasm-bindgen writes other glue than src/engine.rs of xtask knows"
        );
        // Two builds at a time write the same file.
        if !text.contains(addition) {
            text.push_str(addition);
            fs::write(&path, text)?;
        }
    }
    Ok(())
}

fn target_directory(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

/// Names the inputs, this program among them: cargo touches its output only when something changed.
fn recipe(compiled: &Path, release: bool) -> Result<String> {
    let state = |path: &Path| -> Result<String> {
        let file = fs::metadata(path).with_context(|| path.display().to_string())?;
        let changed = file.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_nanos();
        Ok(format!("{} bytes, {changed}", file.len()))
    };
    Ok(format!(
        "engine {}; xtask {}; release {release}",
        state(compiled)?,
        state(&env::current_exe()?)?
    ))
}

/// Without the explicit call in `crates/wasm`, the linker wraps every export in a call of all static
/// constructors (`*_command_export`), malloc included: many exports that begin by calling one and the
/// same function. Descriptions, which only wasm-bindgen calls, may do so of their own accord.
fn check_constructors(compiled: &Path) -> Result<()> {
    let module = walrus::Module::from_file(compiled)?;
    let mut first_calls: HashMap<FunctionId, usize> = HashMap::new();
    let mut exports = 0;
    for export in module.exports.iter() {
        if export.name.starts_with("__wbindgen_describe") {
            continue;
        }
        let ExportItem::Function(id) = export.item else { continue };
        let FunctionKind::Local(function) = &module.funcs.get(id).kind else { continue };
        exports += 1;
        if let Some((Instr::Call(call), _)) = function.block(function.entry_block()).instrs.first()
        {
            let callee = module.types.get(module.funcs.get(call.func).ty());
            if callee.params().is_empty() && callee.results().is_empty() {
                *first_calls.entry(call.func).or_default() += 1;
            }
        }
    }
    let wrapped = first_calls.values().copied().max().unwrap_or(0);
    if exports > 4 && wrapped * 2 > exports {
        bail!(
            "{wrapped} of {exports} exports call the static constructors each time: crates/wasm must call \
             __wasm_call_ctors once, from its start function"
        );
    }
    Ok(())
}

/// Optimises these files at the same time: each takes minutes of one core.
fn run_wasm_opt(root: &Path, files: &[&Path]) -> Result<()> {
    let script = root.join("node_modules/binaryen/bin/wasm-opt");
    ensure!(script.exists(), "{} is missing: run `npm ci` first", script.display());
    let start = |wasm: &&Path| {
        Command::new("node")
            .arg(&script)
            .args(["-Oz", "--strip-debug", "--strip-producers"])
            .args(WASM_FEATURES)
            .arg(wasm)
            .arg("-o")
            .arg(wasm)
            .spawn()
            .context("node could not be started")
    };
    let running = files.iter().map(start).collect::<Result<Vec<_>>>()?;
    for mut process in running {
        ensure!(process.wait()?.success(), "wasm-opt failed");
    }
    Ok(())
}
