//! See the README of this example.

use std::process::ExitCode;

fn main() -> ExitCode {
    property_management::model_stand_in()
}
