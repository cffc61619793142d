//! From a translated network to one that is ready to run; failures of tract.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::prelude::{IntoRunnable, TractError, TypedModel, TypedSimplePlan};

use crate::error::{Error, Result};
use crate::options::Kernels;
use crate::{fusion, graph, onnx, places};
use itp_ood_kernels::Width;

/// Turns a translated network into one that is ready to run.
pub(super) fn prepare(mut typed: TypedModel, kernels: Kernels) -> Result<Arc<TypedSimplePlan>> {
    check_facts(&typed)?;
    let prepare = || {
        places::replace(&mut typed)?;
        if kernels == Kernels::Tract {
            return typed.into_optimized()?.into_runnable();
        }
        let widths = Width::available();
        fusion::fuse(&mut typed, &widths)?;
        typed.declutter()?;
        fusion::fuse_simplified(&mut typed, &widths)?;
        let mut typed = typed.into_optimized()?;
        fusion::fuse_optimized(&mut typed, &widths)?;
        typed.into_runnable()
    };
    let plan = prepare().map_err(|error: TractError| {
        Error::model(format!("the model can't be prepared for running: {error:#}"))
    })?;
    check_facts(plan.model())?;
    Ok(plan)
}

/// Refuses shapes that are unknown or too large to be computed.
fn check_facts(model: &TypedModel) -> Result<()> {
    for node in model.nodes() {
        for output in &node.outputs {
            let Some(shape) = output.fact.shape.as_concrete() else {
                return Err(Error::model(format!(
                    "the shape {:?} of operator `{}` ({}) isn't known when the model is loaded; \
                     export the model with a fixed image size",
                    output.fact.shape,
                    node.name,
                    node.op.name()
                )));
            };
            if graph::elements(shape).is_none_or(|elements| elements > onnx::MAX_ELEMENTS) {
                return Err(Error::model(format!(
                    "operator `{}` ({}) yields the shape {shape:?}, which is too large",
                    node.name,
                    node.op.name()
                )));
            }
        }
    }
    Ok(())
}

/// What an error of a run begins with.
pub(super) const FAILED: &str = "the network failed on an image of the right shape";

/// Runs tract, and says what failed.
pub(super) fn caught<T>(what: &str, run: impl FnOnce() -> Result<T, TractError>) -> Result<T> {
    let failed = |error: String| Error::model(format!("{what}: {error}"));
    catch_panic(run).map_err(failed)?.map_err(|error| failed(format!("{error:#}")))
}

/// Turns a panic of tract, which may happen in spite of all checks, into its message. WebAssembly
/// can't catch a panic; there the instance ends.
pub(super) fn catch_panic<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
    })
}
