//! Where in the image a class's logit comes from, exactly, if the features are means over a last map.
//!
//! Feature `h_j` is the mean of map `A_j` over its P positions, so that the contribution `W_kj h_j` is the sum
//! of `W_kj A_j / P` over them. Which weights are pruned is decided by the features, as ever.

use ndarray::{Array1, Array2, ArrayView1, ArrayView3};
use serde::Serialize;

use super::FeatureDetector;
use crate::error::{Error, Result};
use crate::pruning::Reason;
use crate::settings::Options;
use crate::wire::Floats;

/// Which of a class's weights an evidence map adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Those that ITP keeps.
    Kept,
    /// Those that CRP prunes, whether or not FTP does.
    Crp,
    /// Those that FTP alone prunes.
    Ftp,
    /// All: the first three together.
    All,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 4] = [Self::Kept, Self::Crp, Self::Ftp, Self::All];

    /// `kept`, `crp`, `ftp` or `all`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Crp => "crp",
            Self::Ftp => "ftp",
            Self::All => "all",
        }
    }

    fn has(self, reason: Reason) -> bool {
        match self {
            Self::Kept => reason == Reason::Kept,
            Self::Crp => matches!(reason, Reason::Redundant | Reason::Both),
            Self::Ftp => reason == Reason::Overconfident,
            Self::All => true,
        }
    }
}

impl std::str::FromStr for Part {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|part| part.name() == name).ok_or_else(|| {
            Error::options(format!("part is \"{name}\"; it must be kept, crp, ftp or all"))
        })
    }
}

/// What each position of the last map adds to a class's logit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Evidence {
    /// Contributions, row by row from the top left, `[height * width]`. Their sum is that of the part's
    /// weights: with the class's bias, `kept` sums to its pruned logit, and `all` to its logit.
    pub data: Floats,
    /// Rows of the map.
    pub height: usize,
    /// Columns of the map.
    pub width: usize,
    /// The class's row in the last layer.
    pub class_index: usize,
}

impl FeatureDetector {
    /// What each position of the last map `[D, H, W]` adds to a class's logit, by way of the weights of
    /// `part`, where features `[D]` are the map's means.
    ///
    /// # Errors
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) for a map of another number of channels, and as
    /// [`FeatureDetector::explain`].
    pub fn evidence(
        &self,
        features: ArrayView1<f32>,
        map: ArrayView3<f32>,
        class_index: usize,
        part: Part,
        options: &Options,
    ) -> Result<Evidence> {
        let (channels, height, width) = map.dim();
        let prepared = self.prepare(self.settings(options)?)?;
        let pruning = prepared.pruning(&self.head)?;
        let why = pruning.explain(&self.head, &self.stats, features, class_index)?;
        if channels != features.len() || height * width == 0 {
            return Err(Error::features(format!(
                "the map has the shape {:?}, but there are {} features",
                map.dim(),
                features.len()
            )));
        }
        let mut sums = Array2::<f64>::zeros((height, width));
        for ((map, &w), &reason) in map.outer_iter().zip(&*why.weight).zip(why.reason.iter()) {
            if part.has(reason) {
                sums.zip_mut_with(&map, |sum, &a| *sum += f64::from(w) * f64::from(a));
            }
        }
        let positions = (height * width) as f64;
        let data: Array1<f32> = sums.iter().map(|sum| (sum / positions) as f32).collect();
        Ok(Evidence { data: data.into(), height, width, class_index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Head;
    use crate::stats::tests::example;
    use ndarray::{Array3, array};

    #[test]
    fn positions_sum_to_the_parts_of_the_logit() {
        let head =
            Head::new(array![[1.0, -2.0, 0.5], [-1.0, 1.0, 0.0]], array![0.1, -0.1]).unwrap();
        let detector = FeatureDetector::new(head, example()).unwrap();
        let map = Array3::from_shape_fn((3, 2, 4), |(j, y, x)| (3 * j + 2 * y + x) as f32 * 0.3);
        let features: Array1<f32> = map.outer_iter().map(|map| map.sum() / 8.0).collect();
        let options = Options::default().with("p", 50.0).unwrap().with("lambda", 0.5).unwrap();
        let mut pruned = 0;
        for class in 0..2 {
            let why = detector.explain(features.view(), class, &options).unwrap().weights;
            let sum = |part: Part| {
                let found = detector.evidence(features.view(), map.view(), class, part, &options);
                let Evidence { data, height, width, class_index } = found.unwrap();
                assert_eq!((height, width, class_index, data.len()), (2, 4, class, 8));
                data.iter().map(|&value| f64::from(value)).sum::<f64>()
            };
            for (part, expected) in [
                (Part::Kept, why.kept_sum),
                (Part::Crp, why.redundant_sum + why.both_sum),
                (Part::Ftp, why.overconfident_sum),
                (Part::All, why.logit - why.bias),
            ] {
                assert!((sum(part) - expected).abs() < 1e-5, "{class} {part:?}: {expected}");
                pruned += usize::from(part != Part::Kept && expected != 0.0);
            }
        }
        assert!(pruned > 3, "{pruned}");
        let wrong = detector.evidence(
            features.view(),
            Array3::zeros((2, 2, 2)).view(),
            0,
            Part::All,
            &options,
        );
        assert_eq!(wrong.unwrap_err().kind(), crate::ErrorKind::Features);
        assert!(
            "everything".parse::<Part>().is_err() && "ftp".parse::<Part>().unwrap() == Part::Ftp
        );
    }
}
