//! Numbers without a domain: quantiles, sums, samples, covariances, eigenvectors.

pub mod arrays;
pub mod cholesky;
pub mod covariance;
pub mod fingerprint;
pub mod histogram;
pub mod linear_algebra;
pub mod logits;
pub mod quantile;
pub mod reservoir;
pub mod sums;
