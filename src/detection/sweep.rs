//! The nearest p or lambda at which the verdict turns.
//!
//! While p or lambda moves, weights are pruned or come back one after the other, for the image and for
//! the held-out images that the threshold rests on, and between two such events nothing changes. So
//! the events are gone through from the nearest on, with running sums. These differ from a detection's
//! in their last digits; where they say that the verdict may have turned, a detection is asked.

use ndarray::{Array2, ArrayView1};

use super::energy::Energy;
use crate::error::Result;
use crate::head::Head;
use crate::numeric::quantile::quantile_sorted;
use crate::pruning::{Pruning, Variant, crp, ftp};
use crate::stats::Stats;

/// What moves, and where to.
#[derive(Clone, Copy)]
pub(super) struct Course<'a> {
    pub dial: Dial<'a>,
    /// Whether it grows.
    pub up: bool,
    /// How far to look.
    pub within: f64,
}

/// A hyperparameter of the pruning.
#[derive(Clone, Copy)]
pub(super) enum Dial<'a> {
    P(&'a Ranks),
    Lambda,
}

/// Where each weight's mean contribution lies among all.
pub(super) struct Ranks {
    sorted: Vec<f64>,
    /// The p from which on CRP prunes a weight, but for rounding, `[K * D]`.
    positions: Vec<f64>,
}

impl Ranks {
    pub fn new(head: &Head, stats: &Stats) -> Self {
        let mu = crp::mean_contributions(head, stats.feature_mean());
        let mut sorted: Vec<f64> = mu.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let last = (sorted.len() - 1) as f64;
        let position =
            |&mu: &f64| sorted.partition_point(|&other| other < mu) as f64 / last * 100.0;
        let positions = mu.iter().map(position).collect();
        Self { sorted, positions }
    }
}

/// What the score is compared with.
#[derive(Clone, Copy)]
pub(super) enum Bar {
    Fixed(f64),
    /// The score at this place among the sorted scores of the held-out images.
    Held(usize),
}

/// The image and the held-out images under one pruning.
pub(super) struct Sweep<'a> {
    pub head: &'a Head,
    pub stats: &'a Stats,
    pub pruning: &'a Pruning,
    pub variant: Variant,
    pub temperature: f64,
    /// Features `[D]`, the image's first.
    pub images: Vec<ArrayView1<'a, f32>>,
    pub bar: Bar,
    /// Whether the image is accepted now.
    pub accepted: bool,
}

/// A weight of an image that is pruned, or comes back; ordered by when.
#[derive(Clone, Copy, PartialEq)]
struct Event {
    /// The hyperparameter's value, negative where it shrinks.
    key: f64,
    image: u32,
    /// `class * D + feature`
    weight: u32,
}

impl Event {
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        let rest = (self.image, self.weight).cmp(&(other.image, other.weight));
        self.key.total_cmp(&other.key).then(rest)
    }
}

/// Events that are sorted at a time: few first, since most verdicts turn nearby.
const FIRST_EVENTS: usize = 1 << 14;
const MOST_EVENTS: usize = 1 << 20;
/// How far running sums and a detection's may differ, relative to the score.
const TOLERANCE: f64 = 1e-5;

impl Sweep<'_> {
    /// The nearest value at which `judge` finds the verdict turned, with what it found.
    ///
    /// # Errors
    /// Those of `judge`.
    pub fn nearest<T>(
        &self,
        course: Course,
        mut judge: impl FnMut(f64) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let start = self.start(course.dial);
        let mut state = State::new(self);
        let (mut after, mut most) = (None, FIRST_EVENTS);
        loop {
            let events = self.events(course, after, most);
            let Some(&last) = events.last() else { return Ok(None) };
            for together in events.chunk_by(|a, b| a.key == b.key) {
                if (together[0].key.abs() - start).abs() > course.within {
                    return Ok(None);
                }
                let mut matters = false;
                for event in together {
                    matters |= state.apply(course, event);
                }
                if matters
                    && state.may_have_turned()
                    && let Some(value) = self.value(course, &together[together.len() - 1])
                    && let Some(found) = judge(value)?
                {
                    return Ok(Some(found));
                }
            }
            (after, most) = (Some(last), (most * 4).min(MOST_EVENTS));
        }
    }

    /// The hyperparameter's value now.
    pub fn start(&self, dial: Dial) -> f64 {
        match dial {
            Dial::P(_) => self.pruning.p(),
            Dial::Lambda => self.pruning.lambda(),
        }
    }

    /// The next events, sorted, at most `most`.
    fn events(&self, course: Course, after: Option<Event>, most: usize) -> Vec<Event> {
        let mut events = Vec::new();
        let mut end: Option<Event> = None;
        let keep_nearest = |events: &mut Vec<Event>| {
            events.select_nth_unstable_by(most - 1, Event::order);
            events.truncate(most);
            events.last().copied()
        };
        self.for_each_event(course, |event| {
            let is_next = after.is_none_or(|after| after.order(&event).is_lt())
                && end.is_none_or(|end| event.order(&end).is_lt());
            if is_next {
                events.push(event);
                if events.len() == 2 * most {
                    end = keep_nearest(&mut events);
                }
            }
        });
        if events.len() > most {
            keep_nearest(&mut events);
        }
        events.sort_unstable_by(Event::order);
        events
    }

    fn for_each_event(&self, Course { dial, up, .. }: Course, mut take: impl FnMut(Event)) {
        let (classes, features) = self.head.weights().dim();
        let (by_crp, by_ftp) = (self.variant != Variant::Ftp, self.variant != Variant::Crp);
        let moves = match dial {
            Dial::P(_) => by_crp,
            Dial::Lambda => by_ftp,
        };
        if !moves {
            return;
        }
        for (image, of_image) in self.images.iter().enumerate() {
            for class in 0..classes {
                for feature in 0..features {
                    let at = (class, feature);
                    let (w, h) = (self.head.weights()[at], of_image[feature]);
                    if w * h == 0.0 {
                        continue;
                    }
                    let is_redundant = by_crp && self.pruning.coarse()[at] == 0.0;
                    let is_overconfident = by_ftp && ftp::is_above(w, h, self.pruning.limits()[at]);
                    let weight = class * features + feature;
                    let value = match dial {
                        Dial::P(ranks) if !is_overconfident && up != is_redundant => {
                            ranks.positions[weight]
                        }
                        Dial::Lambda if !is_redundant && up == is_overconfident => {
                            self.lambda_of(at, h)
                        }
                        _ => continue,
                    };
                    // FTP never prunes what would need a lambda below 0.
                    if value >= 0.0 {
                        let key = if up { value } else { -value };
                        take(Event { key, image: image as u32, weight: weight as u32 });
                    }
                }
            }
        }
    }

    /// The lambda below which FTP prunes a weight, but for rounding; NaN if there is none.
    fn lambda_of(&self, at: (usize, usize), h: f32) -> f64 {
        let (w, m) = (self.head.weights()[at], self.stats.feature_mean()[at]);
        let excess = f64::from(ftp::signed(w, h)) - f64::from(ftp::signed(w, m));
        excess / f64::from(self.stats.feature_std()[at])
    }

    /// The value nearest to the start at which the event has happened, to the last bit.
    fn value(&self, Course { dial, up, .. }: Course, event: &Event) -> Option<f64> {
        let start = self.start(dial);
        match dial {
            Dial::P(Ranks { sorted, .. }) => {
                let (class, feature) = self.place(event);
                let w = f64::from(self.head.weights()[(class, feature)]);
                let mu = w * f64::from(self.stats.feature_mean()[(class, feature)]);
                let is_pruned = |p| crp::is_redundant(mu, quantile_sorted(sorted, p / 100.0));
                first(start, if up { 100.0 } else { 0.0 }, |p| is_pruned(p) == up)
            }
            Dial::Lambda => {
                let at = self.place(event);
                let [w, m, s] = [
                    self.head.weights()[at],
                    self.stats.feature_mean()[at],
                    self.stats.feature_std()[at],
                ];
                let h = self.images[event.image as usize][at.1];
                let is_pruned = |lambda| ftp::is_above(w, h, ftp::limit(w, m, s, lambda));
                first(start, if up { f64::INFINITY } else { 0.0 }, |lambda| is_pruned(lambda) != up)
            }
        }
    }

    fn place(&self, event: &Event) -> (usize, usize) {
        let features = self.head.num_features();
        (event.weight as usize / features, event.weight as usize % features)
    }
}

/// The number nearest to `from` on the way to `to`, neither negative, at which `is_so` holds, which holds
/// from there on; `None` if it doesn't hold at `to`.
fn first(from: f64, to: f64, is_so: impl Fn(f64) -> bool) -> Option<f64> {
    // The bits of numbers that aren't negative are in their order. -0 is.
    let (mut before, mut there) = ((from + 0.0).to_bits(), (to + 0.0).to_bits());
    if !is_so(to) {
        return None;
    }
    while before.abs_diff(there) > 1 {
        let middle = before.midpoint(there);
        if is_so(f64::from_bits(middle)) {
            there = middle;
        } else {
            before = middle;
        }
    }
    Some(f64::from_bits(there))
}

/// Where the sweep has come to.
struct State<'s, 'a> {
    sweep: &'s Sweep<'a>,
    /// `[images, K]`
    logits: Array2<f64>,
    energies: Vec<Energy>,
    /// Which images' scores the image's own reaches, give or take the tolerance.
    reaches: Vec<bool>,
    num_reached: usize,
    tolerance: f64,
}

impl<'s, 'a> State<'s, 'a> {
    fn new(sweep: &'s Sweep<'a>) -> Self {
        let Sweep { head, pruning, variant, temperature, .. } = *sweep;
        let mut logits = Array2::zeros((sweep.images.len(), head.num_classes()));
        for (mut row, features) in logits.outer_iter_mut().zip(&sweep.images) {
            row.assign(&pruning.logits(head, *features, variant));
        }
        let energies: Vec<Energy> =
            logits.outer_iter().map(|logits| Energy::new(logits, temperature)).collect();
        let tolerance = TOLERANCE * energies[0].value().abs().max(1.0);
        let reaches = vec![false; energies.len()];
        let mut state = Self { sweep, logits, energies, reaches, num_reached: 0, tolerance };
        state.compare_all();
        state
    }

    /// Whether the event can matter to the verdict.
    fn apply(&mut self, Course { dial, up, .. }: Course, event: &Event) -> bool {
        let (class, feature) = self.sweep.place(event);
        let image = event.image as usize;
        let part = self.sweep.head.weights()[(class, feature)] * self.sweep.images[image][feature];
        let prunes = up == matches!(dial, Dial::P(_));
        let mut logits = self.logits.row_mut(image);
        let old = logits[class];
        logits[class] += f64::from(if prunes { -part } else { part });
        let new = logits[class];
        self.energies[image].change(old, new, logits.view());
        if image == 0 {
            self.compare_all();
            return true;
        }
        let reached = self.reaches[image];
        self.compare(image);
        let distance = self.energies[image].value() - self.energies[0].value();
        reached != self.reaches[image] || distance.abs() <= self.tolerance
    }

    fn compare_all(&mut self) {
        (1..self.energies.len()).for_each(|image| self.compare(image));
    }

    fn compare(&mut self, image: usize) {
        let reaches = self.own() >= self.energies[image].value();
        self.num_reached += usize::from(reaches);
        self.num_reached -= usize::from(std::mem::replace(&mut self.reaches[image], reaches));
    }

    /// The image's score, moved by the tolerance to the side that turns the verdict.
    fn own(&self) -> f64 {
        let off = if self.sweep.accepted { -self.tolerance } else { self.tolerance };
        self.energies[0].value() + off
    }

    fn may_have_turned(&self) -> bool {
        let accepted = match self.sweep.bar {
            Bar::Fixed(threshold) => self.own() >= threshold,
            Bar::Held(place) => self.num_reached > place,
        };
        accepted != self.sweep.accepted
    }
}
