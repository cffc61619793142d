//! What the backbone costs natively for one image: this library's kernels against tract's, run in
//! turn, in milliseconds (minimum and median), with a checksum of the features.
//!
//!     cargo run --release --example backbone_cost -- MODEL.onnx...

use std::time::Instant;

use itp_ood::{Backbone, Kernels};
use ndarray::Array4;

const ROUNDS: usize = 60;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let model = std::fs::read(&path)?;
        let load = |kernels| Backbone::with_kernels(&model, None, kernels);
        let sides = [load(Kernels::Custom)?, load(Kernels::Tract)?];
        let mut times = [vec![], vec![]];
        let mut sums = [0.0; 2];
        for _ in 0..ROUNDS {
            for ((side, times), sum) in sides.iter().zip(&mut times).zip(&mut sums) {
                let (backbone, _) = side;
                let shape = backbone.input_shape();
                let size: usize = shape.iter().product();
                let input = (0..size).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect();
                let input = Array4::from_shape_vec(shape, input)?;
                let start = Instant::now();
                *sum = backbone.features(input.view())?.sum();
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        println!("{path}");
        for ((name, times), sum) in ["custom", "tract"].iter().zip(&mut times).zip(sums) {
            times.sort_by(f64::total_cmp);
            println!("  {name:6} {:7.3} {:7.3} ms, sum {sum}", times[0], times[ROUNDS / 2]);
        }
    }
    Ok(())
}
