require framegate.inc
require framegate-crates.inc
