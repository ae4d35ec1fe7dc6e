//! composition, reload, drain, telemetry
