//! The table that is printed.

/// A figure beside its bound.
pub(crate) struct Row {
    figure: String,
    measured: String,
    bound: String,
    holds: bool,
}

/// All figures.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// A figure that is at most `bound`, which is made up as `how` says.
    pub(crate) fn at_most(&mut self, figure: impl Into<String>, measured: f64, bound: f64, unit: &str, how: &str) {
        let (measured_text, bound_text) = (format!("{measured:.2} {unit}"), format!("{bound:.2} {unit}{how}"));
        self.push(figure, measured_text, bound_text, measured <= bound);
    }

    pub(crate) fn at_least(&mut self, figure: impl Into<String>, measured: f64, bound: f64, unit: &str) {
        self.push(figure, format!("{measured:.0} {unit}"), format!("at least {bound:.0} {unit}"), measured >= bound);
    }

    pub(crate) fn push(&mut self, figure: impl Into<String>, measured: String, bound: String, holds: bool) {
        let row = Row { figure: figure.into(), measured, bound, holds };
        println!("{}", row.line());
        self.0.push(row);
    }

    /// Prints everything once more, as Markdown; false if a bound does not hold.
    pub(crate) fn print(&self) -> bool {
        println!("\n| figure | measured | bound | |\n| --- | --- | --- | --- |");
        self.0.iter().for_each(|row| println!("{}", row.line()));
        self.0.iter().all(|row| row.holds)
    }
}

impl Row {
    fn line(&self) -> String {
        let verdict = if self.holds { "holds" } else { "**does not hold**" };
        format!("| {} | {} | {} | {verdict} |", self.figure, self.measured, self.bound)
    }
}
