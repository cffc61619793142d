//! What a detector can be told: stored defaults ([`Settings`]) and a caller's wishes ([`Options`]).

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The settings that a stats file carries; every detection uses them unless told otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// CRP prunes the weights whose mean contribution to their class lies in the lowest `p`
    /// percent of all K x D (0 to 100). Paper, Eq. 7.
    pub p: f64,
    /// FTP prunes, for each image, the weights whose contribution is more than `lambda` standard
    /// deviations above their class mean (0 to infinity; infinity prunes none). Paper, Eq. 10.
    #[serde(with = "infinite")]
    pub lambda: f64,
    /// Name of the score, for example `itp` or `energy`; see [`crate::score`].
    pub score: String,
    /// Temperature T of `T logsumexp(logits / T)`, above 0. The paper uses 1.
    pub temperature: f64,
    /// Value at which ReAct clips features, for the scores with `react` in their name.
    pub react: Option<f64>,
    /// Share of in-distribution images that the threshold keeps (0 to 1, exclusive).
    pub tpr: f64,
    /// HELD's limit in standard deviations (0 to infinity).
    #[serde(with = "infinite")]
    pub held_lambda: f64,
    /// HELD+T's weight of T; `None` where no in-distribution holdout was there to derive it.
    pub held_a: Option<f64>,
}

impl Default for Settings {
    /// The paper's settings for CIFAR-10; `itp tune` finds better ones for another network.
    fn default() -> Self {
        Self {
            p: 10.0,
            lambda: 2.2,
            score: "itp".to_owned(),
            temperature: 1.0,
            react: None,
            tpr: 0.95,
            held_lambda: 1.0,
            held_a: None,
        }
    }
}

impl Settings {
    /// Checks every range.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) naming the setting and its range.
    pub fn validate(&self) -> Result<()> {
        let in_range = |name: &str, value: f64, ok: bool, range: &str| {
            if ok {
                Ok(())
            } else {
                Err(Error::options(format!("{name} is {value}; it must be {range}")))
            }
        };
        in_range("p", self.p, (0.0..=100.0).contains(&self.p), "a percentage from 0 to 100")?;
        in_range("lambda", self.lambda, self.lambda >= 0.0, "0 or more (infinity prunes nothing)")?;
        in_range(
            "temperature",
            self.temperature,
            self.temperature > 0.0 && self.temperature.is_finite(),
            "above 0",
        )?;
        in_range(
            "tpr",
            self.tpr,
            self.tpr > 0.0 && self.tpr < 1.0,
            "between 0 and 1, such as 0.95",
        )?;
        in_range("heldLambda", self.held_lambda, self.held_lambda >= 0.0, "0 or more")?;
        if let Some(react) = self.react {
            in_range("react", react, react.is_finite(), "a finite feature value")?;
        }
        if let Some(a) = self.held_a {
            in_range("heldA", a, a >= 0.0 && a.is_finite(), "0 or more")?;
        }
        Ok(())
    }
}

/// Wishes for one call; what is `None` comes from the stats file's [`Settings`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    /// See [`Settings::p`].
    pub p: Option<f64>,
    /// See [`Settings::lambda`].
    pub lambda: Option<f64>,
    /// See [`Settings::score`].
    pub score: Option<String>,
    /// See [`Settings::temperature`].
    pub temperature: Option<f64>,
    /// See [`Settings::react`].
    pub react: Option<f64>,
    /// A score below this is out-of-distribution; by default it follows from the stats file's
    /// in-distribution scores.
    pub threshold: Option<f64>,
    /// See [`Settings::tpr`].
    pub tpr: Option<f64>,
    /// See [`Settings::held_lambda`].
    pub held_lambda: Option<f64>,
    /// See [`Settings::held_a`].
    pub held_a: Option<f64>,
    /// How many classes [`Detection::top_k`](crate::Detection) lists; 5 by default.
    pub top_k: Option<usize>,
}

impl Options {
    /// These wishes over the stored settings, checked.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) if a value is outside its range.
    pub fn resolve(&self, stored: &Settings) -> Result<Settings> {
        let settings = Settings {
            p: self.p.unwrap_or(stored.p),
            lambda: self.lambda.unwrap_or(stored.lambda),
            score: self.score.clone().unwrap_or_else(|| stored.score.clone()),
            temperature: self.temperature.unwrap_or(stored.temperature),
            react: self.react.or(stored.react),
            tpr: self.tpr.unwrap_or(stored.tpr),
            held_lambda: self.held_lambda.unwrap_or(stored.held_lambda),
            held_a: self.held_a.or(stored.held_a),
        };
        settings.validate()?;
        if let Some(threshold) = self.threshold.filter(|value| !value.is_finite()) {
            return Err(Error::options(format!("threshold is {threshold}; it must be finite")));
        }
        Ok(settings)
    }
}

/// JSON has no infinity: it is written as the text `"inf"`.
pub(crate) mod infinite {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_infinite() && serializer.is_human_readable() {
            serializer.serialize_str("inf")
        } else {
            serializer.serialize_f64(*value)
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Value {
            Number(f64),
            Text(String),
        }
        match Value::deserialize(deserializer)? {
            Value::Number(number) => Ok(number),
            Value::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinity_survives_json() {
        let settings = Settings { lambda: f64::INFINITY, ..Settings::default() };
        let json = serde_json::to_string(&settings).unwrap();
        assert!(json.contains(r#""lambda":"inf""#), "{json}");
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
    }

    #[test]
    fn wishes_override_and_are_checked() {
        let stored = Settings::default();
        let options = Options { p: Some(20.0), ..Options::default() };
        assert_eq!(options.resolve(&stored).unwrap(), Settings { p: 20.0, ..stored.clone() });
        for wrong in [
            Options { p: Some(101.0), ..Options::default() },
            Options { p: Some(f64::NAN), ..Options::default() },
            Options { lambda: Some(-1.0), ..Options::default() },
            Options { temperature: Some(0.0), ..Options::default() },
            Options { threshold: Some(f64::NAN), ..Options::default() },
            Options { react: Some(f64::INFINITY), ..Options::default() },
        ] {
            assert!(wrong.resolve(&stored).is_err(), "{wrong:?}");
        }
    }
}
