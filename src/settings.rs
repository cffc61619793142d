//! What a detector can be told: stored defaults ([`Settings`]) and overrides of one call
//! ([`Options`]).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::error::{Error, Result};

/// Keys of the stats file's settings, in its order, with the hyperparameters that they hold; the
/// two that are none of a detector's are the score and the true-positive rate.
const FILE_KEYS: [(&str, Key); 8] = [
    ("p", Key::Hyperparameter("itp.p")),
    ("lambda", Key::Hyperparameter("itp.lambda")),
    ("score", Key::Score),
    ("temperature", Key::Hyperparameter("energy.temperature")),
    ("react", Key::Hyperparameter("react.clip")),
    ("tpr", Key::Tpr),
    ("heldLambda", Key::Hyperparameter("held.lambda")),
    ("heldA", Key::Hyperparameter("held_t.a")),
];
/// Key of the hyperparameters that have none of their own.
const OTHERS: &str = "hyperparameters";

#[derive(Clone, Copy)]
enum Key {
    Score,
    Tpr,
    Hyperparameter(&'static str),
}

/// The settings that a stats file carries; every detection uses them unless told otherwise.
///
/// Hyperparameters go by the names of the registry, such as `itp.p` ([`crate::detectors`]).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(
    feature = "typescript",
    derive(ts_rs::TS),
    ts(rename = "UsedSettings", type = "UsedSettings")
)]
pub struct Settings {
    /// Name of the score, for example `itp` or `energy`.
    pub score: String,
    /// Share of in-distribution images that the threshold keeps (0 to 1, exclusive).
    pub tpr: f64,
    pub(crate) values: BTreeMap<String, f64>,
}

impl Default for Settings {
    /// ITP with a threshold that keeps 95 %, and every hyperparameter at its detector's default.
    fn default() -> Self {
        Self { score: "itp".to_owned(), tpr: 0.95, values: BTreeMap::new() }
    }
}

impl Settings {
    /// A hyperparameter's value by its full name, if the settings have one.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }

    /// Sets a hyperparameter by its full name.
    pub(crate) fn set(&mut self, name: &str, value: f64) {
        self.values.insert(name.to_owned(), value);
    }

    /// All hyperparameters with a value, by their full names.
    pub fn hyperparameters(&self) -> impl Iterator<Item = (&str, f64)> {
        self.values.iter().map(|(name, &value)| (name.as_str(), value))
    }

    /// Checks what is none of a detector's.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) naming the setting and its range.
    pub(crate) fn check_tpr(&self) -> Result<()> {
        if self.tpr > 0.0 && self.tpr < 1.0 {
            return Ok(());
        }
        Err(Error::options(format!(
            "tpr is {}; it must be between 0 and 1, such as 0.95",
            self.tpr
        )))
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_text = serializer.is_human_readable();
        let mut map = serializer.serialize_map(None)?;
        for (key, holds) in FILE_KEYS {
            match holds {
                Key::Score => map.serialize_entry(key, &self.score)?,
                Key::Tpr => map.serialize_entry(key, &self.tpr)?,
                Key::Hyperparameter(name) => {
                    map.serialize_entry(
                        key,
                        &self.get(name).map(|value| Number { value, is_text }),
                    )?;
                }
            }
        }
        let has_key = |name: &str| {
            FILE_KEYS
                .iter()
                .any(|(_, key)| matches!(key, Key::Hyperparameter(known) if *known == name))
        };
        let others: BTreeMap<&str, Number> = self
            .hyperparameters()
            .filter(|(name, _)| !has_key(name))
            .map(|(name, value)| (name, Number { value, is_text }))
            .collect();
        if !others.is_empty() {
            map.serialize_entry(OTHERS, &others)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SettingsVisitor;
        impl<'de> Visitor<'de> for SettingsVisitor {
            type Value = Settings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Settings, A::Error> {
                let mut settings = Settings::default();
                while let Some(key) = map.next_key::<String>()? {
                    let holds = FILE_KEYS.iter().find(|(known, _)| *known == key);
                    match holds.map(|(_, holds)| *holds) {
                        Some(Key::Score) => settings.score = map.next_value()?,
                        Some(Key::Tpr) => settings.tpr = map.next_value()?,
                        Some(Key::Hyperparameter(name)) => {
                            if let Some(Value(value)) = map.next_value()? {
                                settings.set(name, value);
                            }
                        }
                        None if key == OTHERS => {
                            let others: BTreeMap<String, Value> = map.next_value()?;
                            settings.values.extend(others.into_iter().map(|(k, v)| (k, v.0)));
                        }
                        None => {
                            return Err(de::Error::custom(format!(
                                "there is no setting \"{key}\"; update itp-ood, or make the file again"
                            )));
                        }
                    }
                }
                Ok(settings)
            }
        }
        deserializer.deserialize_map(SettingsVisitor)
    }
}

/// JSON has no infinity: it is written as the text `"inf"`.
pub(crate) struct Number {
    pub value: f64,
    pub is_text: bool,
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.value.is_infinite() && self.is_text {
            serializer.serialize_str("inf")
        } else {
            serializer.serialize_f64(self.value)
        }
    }
}

/// A number, or the text of one.
struct Value(f64);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(f64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(de::Error::custom),
        }
    }
}

/// Serialises infinity as [`Number`] does; for `#[serde(with = ...)]`.
pub(crate) mod infinite {
    use serde::{Serialize, Serializer};

    pub fn serialize<S: Serializer>(&value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        let is_text = serializer.is_human_readable();
        super::Number { value, is_text }.serialize(serializer)
    }
}

/// Overrides for one call; what is not given comes from the stats file's [`Settings`], and what
/// that does not have from the detectors' defaults.
///
/// ```
/// use itp_ood::Options;
///
/// let options = Options::default().score("itp").with("p", 20.0)?.with("itp.lambda", 1.6)?;
/// assert!(options.clone().with("lamda", 1.6).is_err(), "unknown names are refused");
/// # Ok::<(), itp_ood::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(
    feature = "typescript",
    derive(ts_rs::TS),
    ts(rename = "DetectOptions", rename_all = "camelCase", optional_fields)
)]
pub struct Options {
    /// Name of the score.
    #[cfg_attr(feature = "typescript", ts(optional, type = "ScoreName"))]
    pub score: Option<String>,
    /// A score below this is out-of-distribution; by default it follows from the stats file's
    /// in-distribution scores.
    pub threshold: Option<f64>,
    /// Share of in-distribution images that the threshold keeps (0 to 1, exclusive).
    pub tpr: Option<f64>,
    /// How many classes [`Detection::top_k`](crate::Detection) lists; 5 by default.
    pub top_k: Option<usize>,
    /// Other values of hyperparameters; [`Options::with`] sets one.
    #[cfg_attr(feature = "typescript", ts(skip))]
    pub hyperparameters: Overrides,
}

/// Values of hyperparameters by their full names, checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides(pub(crate) BTreeMap<&'static str, f64>);

impl Options {
    /// The same with another score.
    pub fn score(mut self, name: impl Into<String>) -> Self {
        self.score = Some(name.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinity_survives_json_and_the_order_is_the_files() {
        let mut settings = Settings::default();
        settings.set("itp.lambda", f64::INFINITY);
        settings.set("itp.p", 10.0);
        let json = serde_json::to_string(&settings).unwrap();
        assert!(json.starts_with(r#"{"p":10.0,"lambda":"inf","score":"itp","#), "{json}");
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
        settings.set("dice.p", 70.0);
        let json = serde_json::to_string(&settings).unwrap();
        assert!(json.ends_with(r#""hyperparameters":{"dice.p":70.0}}"#), "{json}");
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
    }

    #[test]
    fn unknown_settings_are_refused_and_missing_ones_default() {
        assert!(serde_json::from_str::<Settings>(r#"{"lamda":1}"#).is_err());
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
    }
}
