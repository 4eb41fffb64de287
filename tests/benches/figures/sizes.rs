//! What is uploaded.

use std::process::Command;

use local::Function;

use crate::{stage::release, table::Table};

/// The size of each bootstrap in its archive. `gzip` deflates as `zip` does.
pub(crate) fn run(table: &mut Table) {
    for function in Function::ALL {
        let zipped = Command::new("gzip").args(["-6", "-c"]).arg(release().join(function.name())).output();
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        let size = zipped.expect("gzip runs").stdout.len() as f64 / 1_048_576.0;
        table.at_most(format!("`{}`: zipped", function.name()), size, 3.0, "MiB", "");
    }
}
