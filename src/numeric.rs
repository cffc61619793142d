//! Numbers without a domain: quantiles, sums, samples, covariances.

pub mod covariance;
pub mod histogram;
pub mod logits;
pub mod quantile;
pub mod reservoir;
pub mod sums;
