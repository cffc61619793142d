//! The engine's second file, for processors and browsers with relaxed SIMD.
//!
//! Relaxed SIMD has an instruction that multiplies and adds at once. The network's operators use it
//! wherever they add a product (`Lanes::add_product`); everything else must compute the same in both
//! files to the last bit, and stays as it is. A second compilation would take as long as the first
//! and yield other glue, so the instructions are exchanged in the finished module.

use anyhow::{Result, ensure};
use rustc_demangle::demangle;
use walrus::ir::{
    BinaryOp, Instr, InstrLocId, InstrSeqId, LoadSimdKind, LocalGet, LocalSet, TernOp, TernaryOp,
};
use walrus::{FunctionId, FunctionKind, LocalFunction, LocalId, Module, ValType};

/// Where the operators are. Nothing else of that module multiplies in SIMD.
const OPERATORS: &str = "itp_ood_backbone::";
/// Fewer would mean that the compiler puts multiplications and additions in another order.
const EXPECTED: usize = 100;

/// Exchanges each multiplication whose product is added to something by one instruction for both;
/// names are needed. Returns how many.
pub fn relax(module: &mut Module) -> Result<usize> {
    let ids: Vec<FunctionId> = module
        .funcs
        .iter_local()
        .map(|(id, _)| id)
        .filter(|&id| {
            // wasm-bindgen writes names in full, the compiler doesn't.
            let name = module.funcs.get(id).name.as_deref().unwrap_or_default();
            demangle(name).to_string().contains(OPERATORS)
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
        "only {count} sums of products were found in the engine's operators: does the compiler \
         write them in another way, or were names stripped?"
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
            // a, b, multiply, c, add: the operands are in the order that the new one takes.
            new.remove(product);
            new.push(multiply_add);
            count += 1;
        } else if new.last().is_some_and(|(last, _)| multiplies(last)) {
            // c, a, b, multiply, add: what is added was there first.
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

/// Where the first operand was computed of what takes two from the end of these instructions.
fn first_operand(instructions: &[(Instr, InstrLocId)]) -> Option<usize> {
    let mut at = instructions.len();
    // Back over all that belongs to the second.
    let mut wanted = 1;
    while wanted > 0 {
        at = at.checked_sub(1)?;
        wanted = wanted - 1 + operands(&instructions[at].0)?;
    }
    at.checked_sub(1)
}

/// How many operands an instruction takes that yields one value; `None` for all others.
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

    /// A function of that name, with `c + a * b` and `a * b + c` and a product that isn't added.
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
        let (mut module, function) = module("<itp_ood_backbone::operators::OnWidth<K>>::run");
        // Too few for an engine.
        assert!(relax(&mut module).is_err());
        assert_eq!(count(&module, function, |found| matches!(found, Instr::TernOp(_))), 2);
        assert_eq!(count(&module, function, multiplies), 1);
        // What is written can be read, that is, every operand is where it should be.
        Module::from_buffer(&module.emit_wasm()).unwrap();
    }

    #[test]
    fn nothing_else_is_touched() {
        let (mut module, function) = module("itp_ood::head::sum_terms");
        assert!(relax(&mut module).is_err());
        assert_eq!(count(&module, function, multiplies), 3);
    }
}
