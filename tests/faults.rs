//! Values at the end of single precision: an error, never a detection with NaN or infinity in it.

use itp_ood::{ErrorKind, FeatureDetector, Head, Moments, Options, Preprocess, Stats};
use ndarray::array;

#[test]
fn logits_that_overflow_are_an_error() {
    let head = Head::new(array![[4.0, -1.0], [-4.0, 2.0]], array![0.0, 0.0]).unwrap();
    let mut moments = Moments::new(2, 2);
    for (class, features) in [(0, [1.0, 0.0]), (0, [2.0, 1.0]), (1, [0.0, 1.0]), (1, [1.0, 3.0])] {
        moments.push(class, ndarray::aview1(&features)).unwrap();
    }
    let stats = Stats::from_moments(&moments, Preprocess::preset("cifar").unwrap()).unwrap();
    let detector = FeatureDetector::new(head, stats).unwrap();
    let detect = |h: [f32; 2]| detector.detect(ndarray::aview1(&h), &Options::default());
    assert!(detect([1.5, 0.5]).is_ok());
    for extreme in [[3e38, 0.0], [-3e38, 1.0], [3e38, 3e38]] {
        assert_eq!(detect(extreme).unwrap_err().kind(), ErrorKind::Features, "{extreme:?}");
    }
    assert!(detect([1.5, 0.5]).is_ok(), "the detector stays usable");
}
