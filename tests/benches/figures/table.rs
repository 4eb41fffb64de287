//! The table that is printed.

/// A figure beside its bound.
pub(crate) struct Row {
    figure: String,
    measured: String,
    bound: String,
    holds: bool,
}

/// All figures.
pub(crate) struct Table {
    /// The unit of the bounds, in milliseconds.
    unit: f64,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(unit: f64) -> Self {
        Self { unit, rows: Vec::new() }
    }

    /// A time in milliseconds that is at most so many units.
    pub(crate) fn in_units(&mut self, figure: impl Into<String>, measured: f64, units: f64) {
        let text = format!("{measured:.2} ms = {:.2} U", measured / self.unit);
        self.push(figure, text, format!("{units:.1} U"), measured <= units * self.unit);
    }

    /// A time in milliseconds that is at most so many units more than the `calls` that it waits for.
    pub(crate) fn overhead(&mut self, figure: impl Into<String>, measured: f64, calls: f64, how: &str, units: f64) {
        let text = format!("{measured:.2} ms = {how} + {:.2} U", (measured - calls) / self.unit);
        self.push(figure, text, format!("{how} + {units:.1} U"), measured <= calls + units * self.unit);
    }

    /// A figure that is at most `bound`, which is made up as `how` says.
    pub(crate) fn at_most(&mut self, figure: impl Into<String>, measured: f64, bound: f64, unit: &str, how: &str) {
        let (measured_text, bound_text) = (format!("{measured:.2} {unit}"), format!("{bound:.2} {unit}{how}"));
        self.push(figure, measured_text, bound_text, measured <= bound);
    }

    pub(crate) fn push(&mut self, figure: impl Into<String>, measured: String, bound: String, holds: bool) {
        let row = Row { figure: figure.into(), measured, bound, holds };
        println!("{}", row.line());
        self.rows.push(row);
    }

    /// Prints everything once more, as Markdown; false if a bound does not hold.
    pub(crate) fn print(&self) -> bool {
        println!("\nU = {:.2} ms", self.unit);
        println!("\n| figure | measured | bound | |\n| --- | --- | --- | --- |");
        self.rows.iter().for_each(|row| println!("{}", row.line()));
        self.rows.iter().all(|row| row.holds)
    }
}

impl Row {
    fn line(&self) -> String {
        let verdict = if self.holds { "holds" } else { "**does not hold**" };
        format!("| {} | {} | {} | {verdict} |", self.figure, self.measured, self.bound)
    }
}
