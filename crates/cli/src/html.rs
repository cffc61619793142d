//! `itp eval --html`: the results as a page of its own, with ROC curves and histograms as inline SVG.

use std::fmt::Write;

use itp_ood::Result;
use itp_ood::metrics::Roc;

use crate::report::distinct;
use crate::table::Table;

/// Scores of one detector on in-distribution images and on one set of others.
pub struct Scored {
    pub detector: String,
    pub ood: String,
    pub id_scores: Vec<f64>,
    pub ood_scores: Vec<f64>,
}

/// Colours that people with any colour vision can tell apart (Okabe and Ito).
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#777777"];
/// Points of a curve; more could not be seen.
const POINTS: usize = 200;
const BINS: usize = 40;
const SIDE: f64 = 320.0;
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 130.0;

const STYLE: &str = "\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1 { overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.set { display: flex; flex-wrap: wrap; }
.set > div { flex: 1 1 20rem; min-width: 0; }
.swatch { display: inline-block; width: .8em; height: .8em; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
th.text, td.text { text-align: left; }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; vertical-align: top; }
figcaption { font-size: .875rem; }
svg { display: block; max-width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
.axis { stroke: currentColor; fill: none; opacity: .5; }
ul.key { list-style: none; padding: 0; margin: 0; columns: 2; font-size: .875rem; }";

/// The page: a title, what is known of the images, tables, and charts for each set.
pub fn page(title: &str, summary: &str, tables: &[&Table], scored: &[Scored]) -> Result<String> {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{0}</title>\n\
         <style>{STYLE}</style>\n<h1>{0}</h1>\n<p>{1}</p>\n",
        escape(title),
        escape(summary)
    );
    for table in tables {
        page.push_str(&as_html(table));
    }
    for set in distinct(scored.iter().map(|of| of.ood.as_str())) {
        let of_set: Vec<&Scored> = scored.iter().filter(|of| of.ood == set).collect();
        let histograms: String = of_set.iter().copied().map(histogram_figure).collect();
        let _ = writeln!(
            page,
            "<h2>{}</h2>\n<div class=\"set\">{}<div>{histograms}</div></div>",
            escape(set),
            roc_figure(set, &of_set)?
        );
    }
    Ok(page)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn as_html(table: &Table) -> String {
    let row = |tag: &str, cells: &[String]| {
        let cells = cells.iter().enumerate().map(|(at, cell)| {
            let class = if at < table.text_columns { " class=\"text\"" } else { "" };
            format!("<{tag}{class}>{}</{tag}>", escape(cell))
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let mut html = String::new();
    if !table.title.is_empty() {
        let _ = writeln!(html, "<h2>{}</h2>", escape(&table.title));
    }
    let rows: String = table.rows.iter().map(|cells| row("td", cells)).collect();
    let _ = writeln!(
        html,
        "<div class=\"scroll\" tabindex=\"0\"><table>\n{}{rows}</table></div>",
        row("th", &table.header)
    );
    for note in &table.notes {
        let _ = writeln!(html, "<p>{}</p>", escape(note));
    }
    html
}

/// Colour and dashes of the line with this number.
fn stroke(at: usize) -> (&'static str, &'static str) {
    let dashes = ["none", "6 3", "2 2", "8 2 2 2"];
    (COLOURS[at % COLOURS.len()], dashes[at / COLOURS.len() % dashes.len()])
}

/// Shares of out-of-distribution and in-distribution images that are accepted, from the strictest
/// threshold to the loosest: at most [`POINTS`] points, the ends among them.
fn roc(id: &[f64], ood: &[f64]) -> Result<Vec<(f64, f64)>> {
    let Roc { fpr, tpr } = Roc::between(id, ood)?;
    let step = fpr.len().div_ceil(POINTS);
    let points = fpr.iter().copied().zip(tpr.iter().copied()).enumerate();
    let kept = points.filter(|&(at, _)| at % step == 0 || at == fpr.len() - 1);
    Ok(kept.map(|(_, point)| point).collect())
}

fn roc_figure(set: &str, scored: &[&Scored]) -> Result<String> {
    let mut lines = String::new();
    let mut key = String::new();
    for (at, of) in scored.iter().enumerate() {
        let (colour, dashes) = stroke(at);
        let points = roc(&of.id_scores, &of.ood_scores)?;
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{:.1},{:.1}", 30.0 + x * SIDE, 10.0 + (1.0 - y) * SIDE))
            .collect();
        let line = format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"");
        let name = escape(&of.detector);
        let _ = writeln!(
            lines,
            "<polyline fill=\"none\" {line} points=\"{}\"><title>{name}</title></polyline>",
            points.join(" ")
        );
        let _ = writeln!(
            key,
            "<li><svg width=\"30\" height=\"10\" style=\"display:inline\" aria-hidden=\"true\">\
             <line x1=\"0\" x2=\"28\" y1=\"5\" y2=\"5\" {line}/></svg> {name}</li>"
        );
    }
    let (left, bottom) = (30.0, 10.0 + SIDE);
    Ok(format!(
        "<figure><svg viewBox=\"0 0 {0} {1}\" width=\"{0}\" role=\"img\" \
         aria-label=\"ROC curves against {2}\">\n\
         <path class=\"axis\" d=\"M{left} 10V{bottom}H{3}M{left} {bottom}L{3} 10\"/>\n{lines}\
         <text x=\"{left}\" y=\"{4}\">0</text>\
         <text x=\"{3}\" y=\"{4}\" text-anchor=\"end\">OOD images accepted: 1</text>\
         <text x=\"26\" y=\"18\" text-anchor=\"end\">1</text>\
         <text transform=\"translate(20 {bottom}) rotate(-90)\">ID images accepted</text>\n</svg>\n\
         <figcaption><ul class=\"key\">{key}</ul></figcaption></figure>",
        SIDE + 40.0,
        SIDE + 35.0,
        escape(set),
        left + SIDE,
        bottom + 16.0
    ))
}

/// Shares of scores in equal bins between the least and the greatest of all.
fn histogram(scores: &[f64], low: f64, high: f64) -> Vec<f64> {
    let mut bins = vec![0.0; BINS];
    for score in scores {
        let at = (score - low) / (high - low).max(f64::MIN_POSITIVE) * BINS as f64;
        bins[(at as usize).min(BINS - 1)] += 1.0 / scores.len() as f64;
    }
    bins
}

fn histogram_figure(of: &Scored) -> String {
    let finite = || of.id_scores.iter().chain(&of.ood_scores).filter(|score| score.is_finite());
    let low = finite().copied().fold(f64::INFINITY, f64::min);
    let high = finite().copied().fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return String::new();
    }
    let both = [&of.id_scores, &of.ood_scores].map(|scores| histogram(scores, low, high));
    let top = both.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let bar = WIDTH / BINS as f64;
    let outline = |bins: &[f64]| {
        let mut path = format!("M0 {HEIGHT}");
        for (at, share) in bins.iter().enumerate() {
            let y = HEIGHT * (1.0 - share / top);
            let _ = write!(path, "V{y:.1}H{:.1}", (at + 1) as f64 * bar);
        }
        format!("{path}V{HEIGHT}Z")
    };
    let [id, ood] = both.map(|bins| outline(&bins));
    let (name, set) = (escape(&of.detector), escape(&of.ood));
    format!(
        "<figure><svg viewBox=\"0 0 {WIDTH} {0}\" width=\"{WIDTH}\" role=\"img\" \
         aria-label=\"Scores {name} of in-distribution images and of {set}\">\n\
         <path d=\"{id}\" fill=\"{1}\" fill-opacity=\".45\" stroke=\"{1}\"/>\n\
         <path d=\"{ood}\" fill=\"{2}\" fill-opacity=\".45\" stroke=\"{2}\"/>\n\
         <text x=\"0\" y=\"{3}\">{low:.3}</text>\
         <text x=\"{WIDTH}\" y=\"{3}\" text-anchor=\"end\">{high:.3}</text>\n</svg>\n\
         <figcaption>{name}: <span class=\"swatch\" style=\"background:{1}\"></span> in-distribution, \
         <span class=\"swatch\" style=\"background:{2}\"></span> {set}</figcaption></figure>\n",
        HEIGHT + 18.0,
        COLOURS[0],
        COLOURS[1],
        HEIGHT + 14.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roc_curves_go_through_what_the_scores_say() {
        let curve = roc(&[3.0, 2.0, 1.0], &[2.0, 0.0]).unwrap();
        let third = 1.0 / 3.0;
        let expected = [(0.0, 0.0), (0.0, third), (0.5, 2.0 * third), (0.5, 1.0), (1.0, 1.0)];
        assert_eq!(curve, expected);
        let many: Vec<f64> = (0..5000).map(f64::from).collect();
        let curve = roc(&many, &many).unwrap();
        assert!(curve.len() <= POINTS + 1 && curve.last() == Some(&(1.0, 1.0)));
    }

    #[test]
    fn histograms_share_out_all_scores() {
        let bins = histogram(&[0.0, 0.5, 1.0, 1.0], 0.0, 1.0);
        assert_eq!((bins[0], bins[BINS - 1]), (0.25, 0.5));
        assert_eq!(histogram(&[2.0, 2.0], 2.0, 2.0).iter().sum::<f64>(), 1.0);
    }
}
