//! Makes the engine's second file, for processors and browsers with relaxed SIMD.
//!
//! Relaxed SIMD has an instruction that multiplies and adds at once. The kernels use it wherever they
//! call `Simd::mul_add`; everything else must compute the same in both files to the last bit.
//!
//! Why not compile twice, the second time with `-Ctarget-feature=+simd128,+relaxed-simd`? Flags are
//! part of every crate's fingerprint, so nothing of the first compilation can be reused: with link-time
//! optimisation over the whole engine it takes as long as the first, 331 s on a machine with two
//! cores, where the limit for this was two minutes. Even without link-time optimisation it is 165 s.
//! The flag would also apply to the rest of the engine, whose results must not change, and
//! wasm-bindgen would write glue of its own for the second file. Rewriting the finished module takes
//! seconds, shares the glue, and was measured as fast (0.998 of the time of a second compilation,
//! `docs/performance.md`).

use anyhow::{Result, ensure};
use rustc_demangle::demangle;
use walrus::ir::{
    BinaryOp, Instr, InstrLocId, InstrSeqId, LoadSimdKind, LocalGet, LocalSet, TernOp, TernaryOp,
};
use walrus::{FunctionId, FunctionKind, LocalFunction, LocalId, Module, ValType};

/// The module whose functions are rewritten.
const KERNELS: &str = "itp_ood_kernels::";
/// With fewer, the compiler must have started to order multiplications and additions differently.
const EXPECTED: usize = 100;

/// Replaces each multiplication whose product is added to something, and that addition, by one
/// instruction; returns how many. Needs the module's function names.
pub fn relax(module: &mut Module) -> Result<usize> {
    let ids: Vec<FunctionId> = module
        .funcs
        .iter_local()
        .map(|(id, _)| id)
        .filter(|&id| {
            // wasm-bindgen writes demangled names, the compiler mangled ones.
            let name = module.funcs.get(id).name.as_deref().unwrap_or_default();
            demangle(name).to_string().contains(KERNELS)
        })
        .collect();
    let mut count = 0;
    for id in ids {
        let scratch = [(); 3].map(|()| module.locals.add(ValType::V128));
        let FunctionKind::Local(function) = &mut module.funcs.get_mut(id).kind else { continue };
        for sequence in sequences(function) {
            count += relax_sequence(function, sequence, scratch);
        }
    }
    ensure!(
        count >= EXPECTED,
        "only {count} sums of products were found in the engine's kernels: does the compiler \
         order them differently now, or were names stripped?"
    );
    Ok(count)
}

/// All sequences of instructions of a function.
fn sequences(function: &LocalFunction) -> Vec<InstrSeqId> {
    let mut found = vec![function.entry_block()];
    let mut at = 0;
    while at < found.len() {
        for (instruction, _) in &function.block(found[at]).instrs {
            match instruction {
                Instr::Block(block) => found.push(block.seq),
                Instr::Loop(block) => found.push(block.seq),
                Instr::IfElse(both) => found.extend([both.consequent, both.alternative]),
                _ => {}
            }
        }
        at += 1;
    }
    found
}

fn relax_sequence(function: &mut LocalFunction, id: InstrSeqId, scratch: [LocalId; 3]) -> usize {
    let old = std::mem::take(&mut function.block_mut(id).instrs);
    let mut new: Vec<(Instr, InstrLocId)> = Vec::with_capacity(old.len());
    let mut count = 0;
    for (instruction, place) in old {
        let multiply_add = (Instr::TernOp(TernOp { op: TernaryOp::F32x4RelaxedMadd }), place);
        if !matches!(&instruction, Instr::Binop(binop) if matches!(binop.op, BinaryOp::F32x4Add)) {
            new.push((instruction, place));
        } else if let Some(product) = first_operand(&new).filter(|&at| multiplies(&new[at].0)) {
            // a, b, multiply, c, add: the operands are in the new instruction's order.
            new.remove(product);
            new.push(multiply_add);
            count += 1;
        } else if new.last().is_some_and(|(last, _)| multiplies(last)) {
            // c, a, b, multiply, add: c must move to the end.
            new.pop();
            let [a, b, c] = scratch;
            let set = |local| (Instr::LocalSet(LocalSet { local }), place);
            let get = |local| (Instr::LocalGet(LocalGet { local }), place);
            new.extend([set(b), set(a), set(c), get(a), get(b), get(c), multiply_add]);
            count += 1;
        } else {
            new.push((instruction, place));
        }
    }
    function.block_mut(id).instrs = new;
    count
}

/// Index of the instruction that yields the first operand of a binary one at the end of
/// `instructions`.
fn first_operand(instructions: &[(Instr, InstrLocId)]) -> Option<usize> {
    let mut at = instructions.len();
    // Walk back over everything that computes the second operand.
    let mut wanted = 1;
    while wanted > 0 {
        at = at.checked_sub(1)?;
        wanted = wanted - 1 + operands(&instructions[at].0)?;
    }
    at.checked_sub(1)
}

/// Number of operands of an instruction that yields one value; `None` for all others.
fn operands(instruction: &Instr) -> Option<usize> {
    match instruction {
        Instr::Const(_) | Instr::LocalGet(_) | Instr::GlobalGet(_) => Some(0),
        Instr::LocalTee(_) | Instr::Unop(_) | Instr::Load(_) => Some(1),
        Instr::LoadSimd(load) => matches!(load.kind, LoadSimdKind::Splat32).then_some(1),
        Instr::Binop(_) => Some(2),
        Instr::TernOp(_) | Instr::Select(_) => Some(3),
        _ => None,
    }
}

fn multiplies(instruction: &Instr) -> bool {
    matches!(instruction, Instr::Binop(binop) if matches!(binop.op, BinaryOp::F32x4Mul))
}

#[cfg(test)]
mod tests {
    use super::*;
    use walrus::FunctionBuilder;
    use walrus::ir::Value;

    /// A function of that name with `c + a * b`, `a * b + c`, and a product that isn't added.
    fn module(name: &str) -> (Module, FunctionId) {
        let mut module = Module::default();
        let [a, b, c] = [(); 3].map(|()| module.locals.add(ValType::V128));
        let mut builder = FunctionBuilder::new(&mut module.types, &[ValType::V128; 3], &[]);
        builder.name(name.to_owned());
        let (add, multiply) = (BinaryOp::F32x4Add, BinaryOp::F32x4Mul);
        let one = Value::V128(1);
        builder.func_body().block(None, |block| {
            block.local_get(c).local_get(a).local_get(b).binop(multiply).binop(add).drop();
            block.local_get(a).local_get(b).binop(multiply);
            block.local_get(c).const_(one).binop(add).binop(add).drop();
            block.local_get(a).local_get(b).binop(multiply).drop();
        });
        let function = builder.finish(vec![a, b, c], &mut module.funcs);
        module.exports.add("f", function);
        (module, function)
    }

    fn count(module: &Module, function: FunctionId, is: impl Fn(&Instr) -> bool) -> usize {
        let FunctionKind::Local(local) = &module.funcs.get(function).kind else { unreachable!() };
        let all = sequences(local).into_iter().flat_map(|id| &local.block(id).instrs);
        all.filter(|(instruction, _)| is(instruction)).count()
    }

    #[test]
    fn sums_of_products_become_one_instruction() {
        let (mut module, function) = module(
            "<itp_ood_kernels::conv::DirectConv as itp_ood_kernels::custom_op::DynKernel>::run",
        );
        // Too few for an engine, so this is an error; the module is rewritten all the same.
        assert!(relax(&mut module).is_err());
        assert_eq!(count(&module, function, |found| matches!(found, Instr::TernOp(_))), 2);
        assert_eq!(count(&module, function, multiplies), 1);
        // The module validates, so every operand is where it should be.
        Module::from_buffer(&module.emit_wasm()).unwrap();
    }

    #[test]
    fn nothing_else_is_touched() {
        for name in ["itp_ood::head::sum_terms", "itp_ood_backbone::linear::Linear::logits"] {
            let (mut module, function) = module(name);
            assert!(relax(&mut module).is_err());
            assert_eq!(count(&module, function, multiplies), 3);
        }
    }
}
