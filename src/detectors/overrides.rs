//! From names and values to checked settings: what a call overrides, what a stats file stores.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::detector::resolve;
use super::registry::{hyperparameter, hyperparameters, nearest};
use crate::error::{Error, ErrorKind, Result};
use crate::settings::{Options, Settings};
use crate::stats::Stats;

impl Options {
    /// The same with another value of a hyperparameter, by its full or its short name.
    ///
    /// # Errors
    /// [`ErrorKind::Options`] for an unknown name (with the nearest known one), or a value outside
    /// its range.
    pub fn with(mut self, name: &str, value: f64) -> Result<Self> {
        let found = hyperparameter(name)?;
        self.hyperparameters.0.insert(found.name, found.check(value, ErrorKind::Options)?);
        Ok(self)
    }

    /// These overrides over stored settings, checked.
    ///
    /// # Errors
    /// [`ErrorKind::Options`] if a value is outside its range.
    pub fn resolve(&self, stored: &Settings) -> Result<Settings> {
        let mut settings = stored.clone();
        if let Some(score) = &self.score {
            settings.score.clone_from(score);
        }
        settings.tpr = self.tpr.unwrap_or(settings.tpr);
        settings.check_tpr()?;
        for (name, &value) in &self.hyperparameters.0 {
            settings.set(name, value);
        }
        if let Some(threshold) = self.threshold.filter(|value| !value.is_finite()) {
            return Err(Error::options(format!("threshold is {threshold}; it must be finite")));
        }
        Ok(settings)
    }
}

impl Stats {
    /// The same with another value of a hyperparameter, by its full or short name.
    ///
    /// # Errors
    /// [`ErrorKind::Options`] for an unknown name or a value outside its range.
    pub fn with_hyperparameter(mut self, name: &str, value: f64) -> Result<Self> {
        let found = hyperparameter(name)?;
        let value = found.check(value, ErrorKind::Options)?;
        if found.short.is_some() {
            self.settings.set(found.name, value);
            return Ok(self);
        }
        // Readers of version 1 look for those without a short name among the tensors.
        Ok(self.with_tensor(found.name, ndarray::arr1(&[value as f32]).into_dyn()))
    }
}

/// Checks the names and values of a stats file's settings.
///
/// # Errors
/// [`ErrorKind::Stats`] naming the hyperparameter.
pub(crate) fn check_stored(stats: &Stats) -> Result<()> {
    let as_stats = |error: Error| Error::stats(format!("the stats file's settings: {error}"));
    let members = stats.members();
    for settings in members.iter().map(|member| &member.settings).chain([stats.settings()]) {
        for (name, value) in settings.hyperparameters() {
            hyperparameter(name).map_err(as_stats)?.check(value, ErrorKind::Stats)?;
        }
        settings.check_tpr().map_err(as_stats)?;
    }
    members.iter().try_for_each(|member| member.check().map_err(as_stats))
}

/// The settings with every hyperparameter that has a short name at its resolved value: what results
/// and new stats files state in full.
pub(crate) fn in_full(settings: &Settings, stats: &Stats) -> Result<Settings> {
    let mut full = settings.clone();
    for known in hyperparameters().filter(|known| known.short.is_some()) {
        if let Some(value) = resolve(known, settings, stats)? {
            full.set(known.name, value);
        }
    }
    Ok(full)
}

/// Options that are no hyperparameters, as JavaScript and JSON name them.
const PLAIN: [&str; 5] = ["score", "threshold", "tpr", "topK", "hyperparameters"];

impl<'de> Deserialize<'de> for Options {
    /// An object of the options and of hyperparameters by their full or short names; what is null or
    /// undefined is not given.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OptionsVisitor;
        impl<'de> Visitor<'de> for OptionsVisitor {
            type Value = Options;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of options")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
                let mut options = Options::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "score" => options.score = map.next_value()?,
                        "threshold" => options.threshold = map.next_value()?,
                        "tpr" => options.tpr = map.next_value()?,
                        "topK" => options.top_k = map.next_value()?,
                        "hyperparameters" => {
                            let nested: Option<Self::Value> = map.next_value()?;
                            let nested = nested.unwrap_or_default().hyperparameters;
                            options.hyperparameters.0.extend(nested.0);
                        }
                        _ => {
                            hyperparameter(&key).map_err(|_| unknown(&key))?;
                            let value: Option<f64> = map.next_value()?;
                            if let Some(value) = value {
                                options = options.with(&key, value).map_err(de::Error::custom)?;
                            }
                        }
                    }
                }
                Ok(options)
            }
        }
        deserializer.deserialize_map(OptionsVisitor)
    }
}

fn unknown<E: de::Error>(key: &str) -> E {
    let known = hyperparameters().flat_map(|h| [Some(h.name), h.short]).flatten();
    let meant = nearest(key, known.chain(PLAIN));
    E::custom(format!("there is no option \"{key}\"{meant}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::tests::example;

    #[test]
    fn overrides_win_over_stored_values_and_those_over_defaults() {
        let stats = example();
        let value = |stats: &Stats, options: &Options, name: &str| {
            let settings = options.resolve(stats.settings()).unwrap();
            resolve(hyperparameter(name).unwrap(), &settings, stats).unwrap()
        };
        let none = Options::default();
        assert_eq!(value(&stats, &none, "p"), Some(10.0));
        assert_eq!(value(&stats, &none, "dice.p"), Some(90.0));
        assert_eq!(value(&stats, &none, "heldA"), None);
        let stored = stats.with_hyperparameter("dice.p", 70.0).unwrap();
        let stored = stored.with_hyperparameter("p", 20.0).unwrap();
        assert_eq!(value(&stored, &none, "dice.p"), Some(70.0));
        assert_eq!(value(&stored, &none, "itp.p"), Some(20.0));
        let call = Options::default().with("dice.p", 50.0).unwrap().with("p", 30.0).unwrap();
        assert_eq!(value(&stored, &call, "dice.p"), Some(50.0));
        assert_eq!(value(&stored, &call, "p"), Some(30.0));
    }

    #[test]
    fn values_outside_their_range_are_refused() {
        for (name, wrong) in [
            ("p", 101.0),
            ("p", f64::NAN),
            ("lambda", -1.0),
            ("temperature", 0.0),
            ("heldA", f64::INFINITY),
            ("dice.p", -1.0),
        ] {
            let error = Options::default().with(name, wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Options, "{name} {wrong}");
            assert!(example().with_hyperparameter(name, wrong).is_err());
        }
        let stored = example().with_tensor("dice.p", ndarray::arr1(&[-1.0]).into_dyn());
        let error = resolve(hyperparameter("dice.p").unwrap(), stored.settings(), &stored);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Stats);
        let tpr = Options { tpr: Some(1.0), ..Options::default() };
        assert!(tpr.resolve(&Settings::default()).is_err());
    }

    #[test]
    fn an_object_of_options_is_read_and_unknown_names_meet_their_nearest() {
        let read = |json: &str| serde_json::from_str::<Options>(json);
        let options = read(
            r#"{"p": 20, "score": "energy", "topK": 3, "react": null,
            "hyperparameters": {"dice.p": 50}}"#,
        )
        .unwrap();
        let expected = Options { top_k: Some(3), ..Options::default() }.score("energy");
        let expected = expected.with("p", 20.0).unwrap().with("dice.p", 50.0).unwrap();
        assert_eq!(options, expected);
        let error = read(r#"{"treshold": 1}"#).unwrap_err().to_string();
        assert!(error.contains("did you mean \"threshold\""), "{error}");
    }
}
