//! Empties functions of the engine that never run, since no feature of tract leaves them out.
//!
//! tract registers every operator that it has, and a function whose address is taken stays in the
//! file whether or not anybody can reach it. What is emptied here traps if it is called after all:
//! the checker of `crates/backbone/src/check.rs` refuses the operators that would call it.

use anyhow::{Result, ensure};
use walrus::ir::{BinaryOp, Visitor, dfs_in_order};
use walrus::{FunctionBuilder, FunctionId, FunctionKind, LocalFunction, Module};

/// Empties what never runs, then drops what only that called; names are needed.
pub fn strip_unused(module: &mut Module) -> Result<()> {
    let mut emptied = [0; PARTS.len()];
    let ids: Vec<FunctionId> = module.funcs.iter_local().map(|(id, _)| id).collect();
    for id in ids {
        let function = module.funcs.get(id);
        let (Some(name), FunctionKind::Local(local)) = (&function.name, &function.kind) else {
            continue;
        };
        if let Some(part) = PARTS.iter().position(|part| (part.holds)(name, local)) {
            empty(module, id);
            emptied[part] += 1;
        }
    }
    for (part, count) in PARTS.iter().zip(emptied) {
        ensure!(
            count > 0,
            "the engine holds nothing of {}: has a dependency changed, or were names stripped?",
            part.what
        );
    }
    walrus::passes::gc::run(module);
    Ok(())
}

/// A part of the engine that never runs.
struct Part {
    what: &'static str,
    holds: fn(&str, &LocalFunction) -> bool,
}

const PARTS: [Part; 3] = [
    Part {
        // tract's own model format, and the one transformation of models that parses it.
        what: "tract_nnef",
        // Constructors run when the engine starts.
        holds: |name, _| first_crate(name) == "tract_nnef" && !name.contains("::__ctor"),
    },
    Part {
        // Registering an operator runs when a model is loaded. What is small may have been merged
        // with an equal function of an operator that runs.
        what: "operators that the checker refuses",
        holds: |name, function| {
            let path = first_path(name);
            REFUSED.iter().any(|module| path.starts_with(module))
                && !name.contains("::register_all_ops")
                && function.size() > SMALL
        },
    },
    Part {
        // The tuner transforms in `f64`, by scalar code (`src/tune/spectrum.rs`).
        what: "rustfft for f32 or SIMD",
        holds: |name, function| {
            first_crate(name) == "rustfft"
                && (name.contains("wasm_simd") || computes_in_f32(function))
        },
    },
];

/// Instructions of a function that isn't worth emptying.
const SMALL: u64 = 150;

/// What only operators use that the checker refuses or that are rewritten before tract sees them: control
/// flow, recurrent networks, classical models, random numbers, Fourier transforms, object detectors'
/// selection, packed integer weights, bitwise logic, fused normalisation.
const REFUSED: [&str; 32] = [
    "tract_core::ops::array::topk::",
    "tract_core::ops::fft::",
    "tract_core::ops::gru_cell::",
    "tract_core::ops::gru_seq::",
    "tract_core::ops::logic::BitAnd",
    "tract_core::ops::logic::BitOr",
    "tract_core::ops::logic::BitXor",
    "tract_core::ops::logic::ite::",
    "tract_core::ops::lstm_cell::",
    "tract_core::ops::nn::grid_sample::",
    "tract_core::ops::scan::",
    "tract_hir::ops::array::constant_like::EyeLike",
    "tract_hir::ops::scan::",
    "tract_linalg::frame::block_quant::",
    "tract_onnx::ops::array::compress::",
    "tract_onnx::ops::array::one_hot::",
    "tract_onnx::ops::array::topk::",
    "tract_onnx::ops::fft::",
    "tract_onnx::ops::grid_sample::",
    "tract_onnx::ops::logic::If",
    "tract_onnx::ops::math::mat_mul_integer::",
    "tract_onnx::ops::ml::",
    "tract_onnx::ops::multinomial::",
    "tract_onnx::ops::nn::gather_block_quantized::",
    "tract_onnx::ops::nn::mat_mul_nbits::",
    "tract_onnx::ops::nn::rms_norm_contrib::",
    "tract_onnx::ops::nn::rotary_embedding::",
    "tract_onnx::ops::nn::skip_layer_norm::",
    "tract_onnx::ops::rec::",
    "tract_onnx_opl::ml::",
    "tract_onnx_opl::multinomial::",
    "tract_onnx_opl::random::",
];

/// The crate that a function's name mentions first: `<a::B as c::D>::e` is of `a`.
fn first_crate(name: &str) -> &str {
    let path = first_path(name);
    path.find("::").map_or(path, |end| &path[..end])
}

/// A function's name from the crate on that it mentions first.
fn first_path(name: &str) -> &str {
    let end = name.find("::").unwrap_or(name.len());
    let start = name[..end].rfind(|c: char| !c.is_alphanumeric() && c != '_');
    start.map_or(name, |start| &name[start + 1..])
}

/// Whether a function computes with single numbers in `f32` and not in `f64`.
fn computes_in_f32(function: &LocalFunction) -> bool {
    #[derive(Default)]
    struct Found {
        f32: bool,
        f64: bool,
    }

    impl<'a> Visitor<'a> for Found {
        fn visit_binop(&mut self, operation: &walrus::ir::Binop) {
            use BinaryOp::{F32Add, F32Mul, F32Sub, F64Add, F64Mul, F64Sub};
            self.f32 |= matches!(operation.op, F32Add | F32Mul | F32Sub);
            self.f64 |= matches!(operation.op, F64Add | F64Mul | F64Sub);
        }
    }

    let mut found = Found::default();
    dfs_in_order(&mut found, function, function.entry_block());
    found.f32 && !found.f64
}

fn empty(module: &mut Module, id: FunctionId) {
    let kind = module.types.get(module.funcs.get(id).ty());
    let (params, results) = (kind.params().to_vec(), kind.results().to_vec());
    let mut builder = FunctionBuilder::new(&mut module.types, &params, &results);
    builder.func_body().unreachable();
    let arguments = params.iter().map(|&kind| module.locals.add(kind)).collect();
    module.funcs.get_mut(id).kind = FunctionKind::Local(builder.local_func(arguments));
}

#[cfg(test)]
mod tests {
    use super::first_crate;

    #[test]
    fn a_function_is_of_the_crate_that_its_name_mentions_first() {
        for (name, expected) in [
            ("tract_nnef::ops::nnef::deser::conv::h12", "tract_nnef"),
            ("<rustfft::algorithm::Dft<T> as rustfft::Fft<T>>::process::h12", "rustfft"),
            ("<&mut itp_ood::Error as core::fmt::Debug>::fmt", "itp_ood"),
            ("memcpy", "memcpy"),
        ] {
            assert_eq!(first_crate(name), expected);
        }
    }
}
