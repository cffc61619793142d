//! How few weights must be given back to a pruned head until its energy reaches a goal.
//!
//! Giving back a weight adds its contribution to its class's logit, and the energy grows with every
//! logit. So of each class only the m strongest contributions of one sign matter, for some m, and
//! what remains is to share out the weights among the classes.

use ndarray::{Array1, ArrayView1};

use super::energy::Energy;

/// How many weights each class gets back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shares {
    /// Of each class, that many of its strongest, `[K]`.
    pub counts: Vec<usize>,
    /// Whether no smaller number would do.
    pub is_fewest: bool,
}

/// Steps that the search for the smallest number may cost: half a second in a browser.
pub(super) const MAX_STEPS: usize = 1 << 28;

/// Rounding must not decide, in units of `exp(threshold / T)`.
const MARGIN: f64 = 1e-12;

/// The fewest positive contributions, strongest first in each class, that lift the energy of `logits`
/// at least to `threshold`; `None` if all of them don't suffice.
pub(super) fn to_lift(
    logits: ArrayView1<f64>,
    contributions: &[Vec<f64>],
    threshold: f64,
    temperature: f64,
    max_steps: usize,
) -> Option<Shares> {
    // A class that reaches the threshold by itself suffices, so that more than that need not be told
    // apart, and nothing overflows.
    let share = |logit: f64| ((logit - threshold) / temperature).exp().min(2.0);
    let start: f64 = logits.iter().map(|&logit| share(logit)).sum();
    let gains = logits.iter().zip(contributions).map(|(&logit, contributions)| {
        let mut sum = logit;
        let lifted = contributions.iter().map(|contribution| {
            sum += contribution;
            share(sum) - share(logit)
        });
        std::iter::once(0.0).chain(lifted).collect()
    });
    share_out(&gains.collect::<Vec<_>>(), 1.0 + MARGIN - start, max_steps)
}

/// The fewest amounts, strongest first in each class, that take the energy of `logits` below `threshold`
/// when they are taken off; `None` if all of them don't suffice.
///
/// `exp` makes each class's weights worth ever less, so that the best next one is always right.
pub(super) fn to_lower(
    logits: ArrayView1<f64>,
    amounts: &[Vec<f64>],
    threshold: f64,
    temperature: f64,
) -> Option<Shares> {
    // Logarithms of what each takes off the sum of exponentials; they don't overflow.
    let mut steps = Vec::new();
    for (class, (&logit, amounts)) in logits.iter().zip(amounts).enumerate() {
        let mut left = logit;
        for &amount in amounts {
            let share = -(-amount / temperature).exp_m1();
            steps.push((left / temperature + share.ln(), class, amount));
            left -= amount;
        }
    }
    steps.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    let mut counts = vec![0; amounts.len()];
    let mut left = logits.to_owned();
    let mut energy = Energy::new(left.view(), temperature);
    let is_low = |energy: &Energy, left: &Array1<f64>| {
        // The running value first: it costs less.
        let goal = threshold - MARGIN * temperature;
        energy.value() < goal + 1e-9 && Energy::new(left.view(), temperature).value() < goal
    };
    for (_, class, amount) in steps {
        counts[class] += 1;
        let old = left[class];
        left[class] -= amount;
        energy.change(old, left[class], left.view());
        if is_low(&energy, &left) {
            return Some(Shares { counts, is_fewest: true });
        }
    }
    None
}

/// A step from one corner of a class's concave hull to the next.
struct Segment {
    class: usize,
    from: usize,
    to: usize,
    slope: f64,
}

/// The fewest entries whose gains reach a positive `goal`, where m entries of a class gain `gains[class][m]`
/// together, which grows with m, and none gain 0.
///
/// The hulls of the gains give an answer and, by their last slope as the price of an entry, a bound that
/// leaves few counts for each class (Lagrangian relaxation); those are searched in full.
fn share_out(gains: &[Vec<f64>], goal: f64, max_steps: usize) -> Option<Shares> {
    let mut segments: Vec<Segment> =
        gains.iter().enumerate().flat_map(|(class, gains)| hull(class, gains)).collect();
    segments.sort_by(|a, b| b.slope.total_cmp(&a.slope));
    let mut counts = vec![0; gains.len()];
    let (mut total, mut last) = (0.0, None);
    for segment in &segments {
        counts[segment.class] = segment.to;
        let gains = &gains[segment.class];
        total += gains[segment.to] - gains[segment.from];
        last = Some(segment);
        if total >= goal {
            break;
        }
    }
    let price = last.filter(|_| total >= goal)?.slope;
    let number: usize = counts.iter().sum();
    let shares = |counts, is_fewest| Some(Shares { counts, is_fewest });

    // What one entry fewer could gain at most.
    let bound = total - price;
    let value = |class: usize, count: usize| gains[class][count] - price * count as f64;
    let may_be = |class: usize, count: usize| {
        bound - value(class, counts[class]) + value(class, count) >= goal - MARGIN / 10.0
    };
    let choices: Vec<Vec<usize>> = (0..gains.len())
        .map(|class| (0..gains[class].len()).filter(|&count| may_be(class, count)).collect())
        .collect();
    if choices.iter().any(Vec::is_empty) {
        return shares(counts, true);
    }
    let least: Vec<usize> = choices.iter().map(|choices| choices[0]).collect();
    let Some(room) = (number - 1).checked_sub(least.iter().sum()) else {
        return shares(counts, true);
    };
    let open: Vec<usize> = (0..gains.len()).filter(|&class| choices[class].len() > 1).collect();
    let steps = open.iter().map(|&class| choices[class].len()).sum::<usize>();
    if steps.saturating_mul(room + 1) > max_steps {
        return shares(counts, false);
    }
    let fixed = least.iter().enumerate().map(|(class, &count)| gains[class][count]).sum();
    match best_within(gains, &choices, &open, fixed, room, goal) {
        None => shares(counts, true),
        Some(chosen) => {
            let mut fewer = least;
            for (&class, count) in open.iter().zip(chosen) {
                fewer[class] = count;
            }
            shares(fewer, true)
        }
    }
}

/// The counts of the open classes with the least sum that reaches `goal`, at most `room` above the sum of
/// their least choices; `fixed` is what the least choices of all classes gain.
fn best_within(
    gains: &[Vec<f64>],
    choices: &[Vec<usize>],
    open: &[usize],
    fixed: f64,
    room: usize,
    goal: f64,
) -> Option<Vec<usize>> {
    let mut best = vec![f64::NEG_INFINITY; room + 1];
    best[0] = fixed;
    // Which choice of each class led there.
    let mut taken = Vec::with_capacity(open.len());
    for &class in open {
        let (gains, least) = (&gains[class], choices[class][0]);
        let mut next = vec![f64::NEG_INFINITY; room + 1];
        let mut by = vec![0_u32; room + 1];
        for &count in choices[class].iter().filter(|&&count| count - least <= room) {
            let (more, gain) = (count - least, gains[count] - gains[least]);
            for at in more..=room {
                if best[at - more] + gain > next[at] {
                    next[at] = best[at - more] + gain;
                    by[at] = count as u32;
                }
            }
        }
        best = next;
        taken.push(by);
    }
    let mut at = best.iter().position(|&gain| gain >= goal)?;
    let mut counts = vec![0; open.len()];
    for (place, &class) in open.iter().enumerate().rev() {
        counts[place] = taken[place][at] as usize;
        at -= counts[place] - choices[class][0];
    }
    Some(counts)
}

/// The upper concave hull of a class's gains, steepest segment first.
fn hull(class: usize, gains: &[f64]) -> Vec<Segment> {
    let slope = |from: usize, to: usize| (gains[to] - gains[from]) / (to - from) as f64;
    let mut corners: Vec<usize> = vec![];
    for at in 0..gains.len() {
        while let [.., before, last] = corners[..]
            && slope(last, at) >= slope(before, last)
        {
            corners.pop();
        }
        corners.push(at);
    }
    let segment = |pair: &[usize]| {
        let (from, to) = (pair[0], pair[1]);
        Segment { class, from, to, slope: slope(from, to) }
    };
    corners.windows(2).map(segment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::logits::logsumexp;
    use ndarray::Array1;

    /// Numbers that look random, 0 to 1.
    fn random(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1_u64 << 24) as f64
        }
    }

    /// The least number of contributions, over all subsets.
    fn by_force(
        logits: &Array1<f64>,
        parts: &[Vec<f64>],
        turned: impl Fn(&Array1<f64>) -> bool,
    ) -> Option<usize> {
        let flat: Vec<(usize, f64)> = (0..parts.len())
            .flat_map(|class| parts[class].iter().map(move |&part| (class, part)))
            .collect();
        let subsets = (0_u32..1 << flat.len()).filter(|subset| {
            let mut logits = logits.clone();
            for (at, &(class, part)) in flat.iter().enumerate() {
                logits[class] += if subset >> at & 1 == 1 { part } else { 0.0 };
            }
            turned(&logits)
        });
        subsets.map(|subset| subset.count_ones() as usize).min()
    }

    /// Logits of three classes, and contributions, strongest first.
    fn case(seed: u64) -> (Array1<f64>, Vec<Vec<f64>>) {
        let mut next = random(seed);
        let logits = (0..3).map(|_| 4.0 * next()).collect();
        // Even ones, steep ones and single large ones: sums of exponentials bend either way.
        let parts = (0..3).map(|_| {
            let (size, fall) = (0.2 + 2.0 * next(), 0.3 + 0.7 * next());
            let mut parts: Vec<f64> =
                (0..4).map(|at| size * fall.powi(at) * (0.8 + 0.2 * next())).collect();
            parts.sort_by(|a, b| b.total_cmp(a));
            parts
        });
        (logits, parts.collect())
    }

    #[test]
    fn lifts_and_lowers_with_as_few_as_any_subset() {
        let (mut searched, mut found) = (0, 0);
        for seed in 0..400 {
            let (logits, parts) = case(seed);
            let energy = logsumexp(logits.view(), 1.0);
            for off in [0.1, 0.7, 1.5, 2.5, 4.0] {
                let up = energy + off;
                let expected = by_force(&logits, &parts, |of| logsumexp(of.view(), 1.0) >= up);
                let shares = to_lift(logits.view(), &parts, up, 1.0, MAX_STEPS);
                let number = |shares: &Shares| shares.counts.iter().sum::<usize>();
                assert_eq!(shares.as_ref().map(number), expected, "{seed} up {off}");
                if let Some(shares) = shares {
                    found += 1;
                    let mut lifted = logits.clone();
                    for (class, &count) in shares.counts.iter().enumerate() {
                        lifted[class] += parts[class][..count].iter().sum::<f64>();
                    }
                    assert!(shares.is_fewest && logsumexp(lifted.view(), 1.0) >= up);
                    let quick = to_lift(logits.view(), &parts, up, 1.0, 0).unwrap();
                    searched += usize::from(number(&quick) > number(&shares));
                    assert!(!quick.is_fewest || number(&quick) == number(&shares));
                }
                let down = energy - off;
                let negative: Vec<Vec<f64>> =
                    parts.iter().map(|of| of.iter().map(|part| -part).collect()).collect();
                let expected = by_force(&logits, &negative, |of| logsumexp(of.view(), 1.0) < down);
                let shares = to_lower(logits.view(), &parts, down, 1.0);
                assert_eq!(shares.as_ref().map(number), expected, "{seed} down {off}");
            }
        }
        assert!(found > 500 && searched > 10, "{found} {searched}");
    }

    #[test]
    fn no_temperature_overflows() {
        let (logits, parts) = case(7);
        for temperature in [1e-4, 1e4] {
            let energy = logsumexp(logits.view(), temperature);
            let (up, down) = (energy + 0.1, energy - 0.1);
            let changed = |counts: &[usize], sign: f64| {
                let sums = counts.iter().zip(&parts).map(|(&n, of)| of[..n].iter().sum::<f64>());
                let sums: Array1<f64> = sums.collect();
                logsumexp((&logits + &(sums * sign)).view(), temperature)
            };
            let lifted = to_lift(logits.view(), &parts, up, temperature, MAX_STEPS).unwrap();
            let lowered = to_lower(logits.view(), &parts, down, temperature).unwrap();
            assert!(changed(&lifted.counts, 1.0) >= up && changed(&lowered.counts, -1.0) < down);
        }
    }
}
