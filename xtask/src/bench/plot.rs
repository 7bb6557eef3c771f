//! The figures as a picture: for each service a panel, for each variant a bar, and a line from the lowest round to
//! the highest.

use super::rounds::{Measured, Plan, Whose};
use super::stats::Spread;
use super::table::over_nothing;
use super::variant::Variant;

const WIDTH: f64 = 760.0;
/// The places where bars begin, and where the longest ends.
const BARS: (f64, f64) = (210.0, 620.0);
const ROW: f64 = 22.0;
const HEAD: f64 = 52.0;
const GAP: f64 = 18.0;

/// An SVG.
pub(super) fn plot(plan: &Plan, measured: &Measured) -> String {
    let mut panels: Vec<(String, Whose)> =
        plan.services.iter().map(|&service| (service.title().to_owned(), Whose::Target(service))).collect();
    if plan.neighbour {
        panels.push(("a neighbour that nobody watches, of another file".to_owned(), Whose::OtherFile));
    }
    let mut body = String::new();
    let mut top = 0.0;
    for (title, whose) in panels {
        let spread = |variant: &Variant| Some((*variant, over_nothing(measured.get(&(whose, *variant))?)));
        let rows: Vec<(Variant, Spread)> = plan.variants.iter().filter_map(spread).collect();
        if !rows.is_empty() {
            top = panel(&mut body, top, &title, &rows);
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" width=\"{WIDTH}\" height=\"{top}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

/// Returns where the next one begins.
fn panel(body: &mut String, top: f64, title: &str, rows: &[(Variant, Spread)]) -> f64 {
    let most = rows.iter().map(|(_, spread)| spread.most).fold(1.0, f64::max);
    let (step, last) = ticks(most - 1.0);
    let x = |times: f64| BARS.0 + (BARS.1 - BARS.0) * ((times - 1.0) / last).clamp(0.0, 1.0);
    let (first, end) = (top + HEAD, top + HEAD + ROW * rows.len() as f64);
    let mut draw = |text: String| body.push_str(&(text + "\n"));
    draw(format!("<text x=\"8\" y=\"{}\" font-weight=\"bold\">{title}</text>", top + 20.0));
    let mut tick = 0.0;
    while tick <= last + step / 2.0 {
        let at = x(1.0 + tick);
        draw(format!("<line x1=\"{at:.1}\" y1=\"{first}\" x2=\"{at:.1}\" y2=\"{end}\" stroke=\"#ddd\"/>"));
        draw(format!(
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\" font-size=\"11\">×{}</text>",
            first - 6.0,
            number(1.0 + tick)
        ));
        tick += step;
    }
    for (at, (variant, spread)) in rows.iter().enumerate() {
        let y = first + ROW * at as f64;
        row(&mut draw, y, *variant, *spread, &x);
    }
    end + GAP
}

fn row(draw: &mut impl FnMut(String), y: f64, variant: Variant, spread: Spread, x: &impl Fn(f64) -> f64) {
    let middle = y + ROW / 2.0;
    let Spread { median, least, most } = spread;
    let title = variant.title().replace("**", "");
    draw(format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{title}</text>", BARS.0 - 8.0, middle + 4.5));
    draw(format!(
        "<rect x=\"{}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
        BARS.0,
        y + 4.0,
        x(median) - BARS.0,
        ROW - 8.0,
        colour(variant)
    ));
    draw(format!(
        "<line x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\" stroke=\"#222\" stroke-width=\"1.5\"/>",
        x(least),
        x(most)
    ));
    draw(format!("<text x=\"{:.1}\" y=\"{:.1}\">×{median:.3}</text>", x(most).max(x(median)) + 6.0, middle + 4.5));
}

fn colour(variant: Variant) -> &'static str {
    match variant {
        Variant::Floor => "#b8b8b8",
        Variant::Trace | Variant::Sample => "#d9772f",
        Variant::Bpftrace | Variant::Perf | Variant::Console | Variant::Otel => "#6f9bc4",
    }
}

/// Between two ticks, and to the last, so that few reach as far as this.
fn ticks(reach: f64) -> (f64, f64) {
    let reach = reach.max(0.005);
    let magnitude = 10f64.powf(reach.log10().floor());
    let steps = [0.2, 0.5, 1.0, 2.0].map(|step| step * magnitude);
    let step = steps.into_iter().find(|step| reach / step <= 6.0).unwrap_or(magnitude);
    (step, (reach / step).ceil() * step)
}

/// Without zeroes that say nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_few_and_reach_far_enough() {
        for reach in [0.0, 0.004, 0.013, 0.3, 0.99, 1.0, 4.2, 17.0] {
            let (step, last) = ticks(reach);
            let count = last / step;
            assert!(last >= reach && (2.0..=7.0).contains(&count), "{reach}: {step}, {last}");
        }
    }

    #[test]
    fn numbers_are_short() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(1.0, "1");
        check(1.25, "1.25");
        check(10.0, "10");
    }
}
