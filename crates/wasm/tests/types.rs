//! `www/lib/generated.ts` holds the types of what the engine takes and gives, in the one form in
//! which the library serialises it, `www/demo/generated.ts` what the page shows of the library. `ITP_BLESS=1 cargo test -p itp-ood-wasm` writes it anew.

use std::path::Path;

use itp_ood::detection::{
    Counterfactual, Energies, Evidence, GivenBack, MemberShare, PrunedWeight, TopClass, Turn,
};
use itp_ood::detectors::held_t::HeldExplanation;
use itp_ood::detectors::hyperparameters::{Hyperparameter, PerScale};
use itp_ood::detectors::registry;
use itp_ood::image::{Channels, Interpolation};
use itp_ood::info::{DetectorInfo, HyperparameterInfo, Info, OperatorCounts, UnavailableScore};
use itp_ood::metrics::{Metrics, Roc};
use itp_ood::pruning::Counts;
use itp_ood::stats::Member;
use itp_ood::tune::pseudo::Kind;
use itp_ood::tune::report::{Candidate, Family, Report};
use itp_ood::tune::{Choice, PseudoOodTask, Rule, Setting, TuneOptions};
use itp_ood::{Detection, Explanation, Options, Preprocess};
use serde_json::json;
use ts_rs::{Config, TS};

const HEAD: &str = "\
// Written by crates/wasm/tests/types.rs from the library's own types: don't edit. After a change there:
// ITP_BLESS=1 cargo test -p itp-ood-wasm
";

#[test]
fn typescript_types_are_those_of_the_library() {
    check("www/lib/generated.ts", &generated());
}

#[test]
fn the_page_has_the_librarys_presets_and_kinds() {
    check("www/demo/generated.ts", &for_the_page());
}

fn check(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("ITP_BLESS").is_some() {
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is stale; run `ITP_BLESS=1 cargo test -p itp-ood-wasm`");
}

/// What the page shows of the library, beyond what the package says at run time.
fn for_the_page() -> String {
    let preset = |name: &&str| format!("  {name}: {},\n", json!(Preprocess::preset(name).unwrap()));
    let kind = |kind: &Kind| {
        let entry = json!({ "description": kind.description(), "isNear": kind.is_near() });
        format!("  {}: {entry},\n", kind.name())
    };
    let presets: String = Preprocess::PRESETS.iter().map(preset).collect();
    let kinds: String = Kind::ALL.iter().map(kind).collect();
    format!(
        "{HEAD}import type {{ Preprocess, TuneKind }} from \"itp-ood\";\n\n\
         /** Preprocessings that many models share. */\n\
         export const PRESETS: Readonly<Record<string, Preprocess>> = {{\n{presets}}};\n\n\
         /** The kinds of pseudo-OOD images; near ones stand for near-OOD data. */\n\
         export const KINDS: Readonly<Record<TuneKind, {{ description: string; isNear: boolean }}>> = {{\n\
         {kinds}}};\n"
    )
}

fn generated() -> String {
    let families = Setting::decl(&config());
    let settings = top_level(body(&families), '|');
    let scores = [
        Setting::Energy {},
        Setting::Itp { p: 0.0, lambda: 0.0 },
        Setting::React { percentile: 0.0, clip: 0.0 },
        Setting::Held { lambda: 0.0 },
        Setting::HeldT { lambda: 0.0, w: 0.0, a: 0.0 },
    ]
    .map(|setting| setting.score());
    assert_eq!(settings.len(), scores.len());
    let families = scores.iter().zip(settings).map(|(score, setting)| {
        let setting = setting.replace("Record<symbol, never>", "Record<string, never>");
        format!("TuneFamily<\"{score}\", {setting}>")
    });
    let families: Vec<String> = families.collect();
    [
        HEAD.to_owned(),
        score_names(),
        hyperparameter_values(),
        used_settings(),
        interface::<Options>("").replace(" {\n", " extends HyperparameterValues {\n"),
        "/** Settings that a new stats file stores. */\n\
         export type CalibrationSettings = HyperparameterValues & Pick<DetectOptions, \"score\" | \"tpr\">;\n"
            .to_owned(),
        interface::<Preprocess>(""),
        interface::<Interpolation>(""),
        interface::<Channels>(""),
        interface::<Info>(""),
        interface::<OperatorCounts>(""),
        interface::<UnavailableScore>(""),
        interface::<DetectorInfo>(""),
        interface::<HyperparameterInfo>(""),
        interface::<PerScale>(""),
        interface::<Detection>(""),
        interface::<TopClass>(""),
        interface::<Energies>(""),
        interface::<Counts>(""),
        interface::<Explanation>(""),
        interface::<HeldExplanation>(""),
        interface::<MemberShare>(""),
        interface::<Evidence>(""),
        interface::<Counterfactual>(""),
        interface::<GivenBack>(""),
        interface::<PrunedWeight>(""),
        interface::<Turn>(""),
        interface::<Metrics>(""),
        interface::<Roc>(""),
        interface::<TuneOptions>(""),
        interface::<Rule>(""),
        interface::<Choice>(""),
        interface::<Member>(""),
        interface::<Kind>(""),
        interface::<PseudoOodTask>(""),
        interface::<Report>(""),
        interface::<Family>("<Score extends ScoreName, Setting>"),
        interface::<Candidate>("<Setting>"),
        format!(
            "/** All candidates of one score, told apart by its name. */\n\
             export type AnyTuneFamily =\n  | {};\n",
            families.iter().map(|of| layout(of, 1)).collect::<Vec<_>>().join("\n  | ")
        ),
    ]
    .join("\n")
}

fn config() -> Config {
    Config::new().with_large_int("number")
}

/// What stands to the right of `type NAME =`.
fn body(declaration: &str) -> &str {
    let (_, body) = declaration.split_once(" = ").expect("a declaration");
    body.trim().trim_end_matches(';')
}

/// A type's declaration: an interface where it is one object, an alias otherwise.
fn interface<T: TS>(generics: &str) -> String {
    let cfg = config();
    let declaration = T::decl(&cfg);
    let body = body(&declaration);
    let (name, docs) = (T::ident(&cfg), T::docs().map_or(String::new(), |docs| comment(&docs, 0)));
    let body = without_array(&layout(body, 0));
    if body.starts_with('{') && !body.contains("} &") {
        return format!("{docs}export interface {name}{generics} {body}\n");
    }
    format!("{docs}export type {name}{generics} = {body};\n")
}

/// `Array<T>` of a name as `T[]`.
fn without_array(text: &str) -> String {
    let mut parts = text.split("Array<");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('>').expect("brackets match");
        out += &format!("{name}[]{rest}");
    }
    out
}

/// The parts of a type between the separators that are not inside any bracket.
fn top_level(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' | '[' | '(' | '<' => depth += 1,
            '}' | ']' | ')' | '>' => depth -= 1,
            _ if c == separator && depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// A type with one member a line.
fn layout(text: &str, depth: usize) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let inner = &rest[open + 1..];
        let close = closing(inner);
        out.push_str(&object(&inner[..close], depth));
        rest = &inner[close + 1..];
    }
    out + rest
}

/// Where the bracket that was opened before `text` closes.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    text.char_indices()
        .find(|(_, c)| {
            depth += i32::from(*c == '{') - i32::from(*c == '}');
            depth < 0
        })
        .expect("brackets match")
        .0
}

fn object(members: &str, depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    let mut out = "{\n".to_owned();
    let mut rest = members.trim();
    while !rest.is_empty() {
        if rest.starts_with("/**") {
            let (docs, after) = rest.split_once("*/").expect("a comment ends");
            out.push_str(&comment(docs, depth + 1));
            rest = after.trim_start();
        }
        let member = top_level(rest, ',')[0];
        out.push_str(&format!("{indent}{};\n", layout(member, depth + 1)));
        rest = rest[member.len()..].trim_start_matches(',').trim_start();
    }
    out + &"  ".repeat(depth) + "}"
}

/// A documentation comment, in TypeScript's words.
fn comment(docs: &str, depth: usize) -> String {
    let lines = docs.lines().map(|line| line.trim().trim_start_matches(['/', '*']).trim());
    let lines: Vec<String> =
        lines.map(|line| line.trim_end_matches("*/").trim().to_owned()).collect();
    // Examples are in Rust.
    let text = lines.join("\n").split("```").step_by(2).collect::<String>();
    let text = in_camel_case(&without_links(&text)).replace("`None`", "`undefined`");
    let text = text.replace("\\*", "*");
    let indent = "  ".repeat(depth);
    match text.trim().lines().collect::<Vec<_>>()[..] {
        [] => String::new(),
        [one] => format!("{indent}/** {one} */\n"),
        ref many => {
            let lines: String = many
                .iter()
                .map(|line| format!("{indent} * {line}").trim_end().to_owned() + "\n")
                .collect();
            format!("{indent}/**\n{lines}{indent} */\n")
        }
    }
}

/// Rust's links to items, `[text]` and `[text](item)`, as their text; the last part of a path.
fn without_links(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("[`") {
        let Some((name, after)) = after.split_once("`]") else { break };
        let name = name.rsplit("::").next().unwrap_or(name);
        out += &format!("{before}`{name}`");
        rest = match after.strip_prefix('(').and_then(|link| link.split_once(')')) {
            Some((_, after)) => after,
            None => after,
        };
    }
    out + rest
}

/// Names of fields, between backticks, as JavaScript has them; names of scores stay.
fn in_camel_case(text: &str) -> String {
    let code = |code: &str| {
        let words = code.split(' ').map(|word| {
            if word.contains('.') || registry::find(word).is_some() {
                return word.to_owned();
            }
            let mut parts = word.split('_');
            let first = parts.next().unwrap_or_default().to_owned();
            first + &parts.map(capitalised).collect::<String>()
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(at, part)| if at % 2 == 1 { code(part) } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("`")
}

fn score_names() -> String {
    let names: String = registry::names().map(|name| format!("\n  | \"{name}\"")).collect();
    format!(
        "/** A post-hoc detector or a combination, such as `dice+react`: those that publications report, \
         and any other. */\nexport type ScoreName ={names}\n  | (string & {{}});\n"
    )
}

/// One property for each hyperparameter under its short and its full name.
fn hyperparameter_values() -> String {
    let member = |name: &str, of: &Hyperparameter| {
        let quoted = if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() };
        format!("{}  {quoted}?: number;\n", comment(&describe(of), 1))
    };
    let short = registry::hyperparameters().filter_map(|of| Some(member(of.short?, of)));
    let full = registry::hyperparameters().map(|of| member(of.name, of));
    let members: String = short.chain(full).collect();
    format!(
        "/** Values of hyperparameters, by their short or their full names. */\n\
         export interface HyperparameterValues {{\n{members}}}\n"
    )
}

fn describe(of: &Hyperparameter) -> String {
    let mut text = sentence(of.meaning);
    text += &format!(" {}", capitalised(&of.range.to_string()));
    if !of.unit.is_empty() {
        text += &format!(", in {}", of.unit);
    }
    text += ".";
    if let Some(PerScale { cifar10, cifar100, imagenet }) = of.default {
        text += &if cifar10 == cifar100 && cifar100 == imagenet {
            format!(" Default: {cifar10}.")
        } else {
            format!(" Default: {cifar10}; {cifar100} from 100 classes on, {imagenet} from 1000 on.")
        };
    }
    text
}

fn sentence(text: &str) -> String {
    capitalised(text) + "."
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map_or(String::new(), |first| first.to_uppercase().collect());
    first + letters.as_str()
}

/// [`itp_ood::Settings`] as they are serialised: hyperparameters with a short name in full.
fn used_settings() -> String {
    let short = registry::hyperparameters().filter_map(|of| Some((of.short?, of)));
    let members: String = short
        .map(|(name, of)| {
            let mark = if of.default.is_some() { "" } else { "?" };
            format!("{}  {name}{mark}: number;\n", comment(&sentence(of.meaning), 1))
        })
        .collect();
    format!(
        "/** The settings that a result was computed with. */\n\
         export interface UsedSettings {{\n\
         \x20 /** Name of the score. */\n  score: ScoreName;\n\
         \x20 /** Fraction of in-distribution images that the threshold keeps. */\n  tpr: number;\n\
         {members}\
         \x20 /** The other hyperparameters that were set, by their full names. */\n\
         \x20 hyperparameters?: Record<string, number>;\n}}\n"
    )
}
