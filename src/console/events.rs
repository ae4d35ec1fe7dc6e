//! What the console logs. No code, cookie or token is in it.

use std::fmt::Display;
use std::net::IpAddr;
use std::net::SocketAddr;

use http::StatusCode;

use crate::event::events;

events! {
    /// Somebody at the box, or with leave to open its control socket, wants to log in. To be known.
    CodeMade: INFO "console.code_made" "a one-time code for the console was made";
    /// Somebody is let in. To be known.
    LoggedIn<'a>: INFO "console.logged_in" { value user: &'a str, value how: &'a str, display peer: IpAddr }
        "logged in at the console";
    /// To be known.
    LoggedOut<'a>: INFO "console.logged_out" { value user: &'a str, display peer: IpAddr }
        "logged out of the console";
    /// Somebody has typed a wrong code, or a right one too late. If nobody meant to log in from there, find out who it is.
    CodeWrong: INFO "console.code_wrong" { display peer: IpAddr }
        "a login at the console failed: the code is wrong or over";
    /// Somebody has guessed, or has mistyped the code again and again. Make another code; if nobody meant to log in from
    /// there, find out who it is, and take the network out of `console.allow`.
    CodeVoid: WARN "console.code_void" { display peer: IpAddr }
        "the console's code is void after too many wrong tries; make another one";
    /// Somebody tries codes, one after the other. Find out who it is, and take the network out of `console.allow`.
    TooManyTries: WARN "console.too_many_tries" { display peer: IpAddr }
        "too many logins at the console are tried with a code; they are not looked at";
    /// A certificate is good, and nobody is known by it. Add one of its names to `principal.NAME.certificates` if somebody
    /// should be.
    NoPrincipal: INFO "console.no_principal" { display peer: IpAddr }
        "a login at the console failed: the certificate belongs to no principal";
    /// Give the principal the right `console`, if it should log in.
    NoRight<'a>: INFO "console.no_right" { value user: &'a str, display peer: IpAddr }
        "a login at the console failed: without the right console";
    /// Somebody who may see who is imaged has asked for it. To be known.
    Unlocked<'a>: INFO "console.unlocked" { value user: &'a str, display peer: IpAddr }
        "patients are shown at the console";
    /// To be known.
    Locked<'a>: INFO "console.locked" { value user: &'a str, display peer: IpAddr }
        "patients are hidden again at the console";
    /// An operator has held up a subscription, or lets it go on. To be known.
    Suspended<'a>: INFO "console.suspended" { value user: &'a str, value subscription: &'a str, value suspended: bool }
        "a subscription is suspended or resumed at the console";
    /// Somebody has given the console another configuration, which changes so many keys. It is tried, and taken back unless
    /// they confirm it. To be known.
    ConfigurationWanted<'a>: INFO "console.configuration_wanted" { value user: &'a str, value keys: usize }
        "another configuration is wanted at the console";
    /// Whoever wanted the configuration that is in force has come back. To be known.
    ConfigurationConfirmed<'a>: INFO "console.configuration_confirmed" { value user: &'a str }
        "the configuration is confirmed at the console";
    /// What is wanted of the configuration cannot be read or left in the runtime directory. The error says why.
    ConfigurationStuck<'a>: ERROR "console.configuration_stuck" (error: &'a dyn Display)
        "the configuration cannot be changed: {error}";
    /// A request was refused; the answer says why and what would be right.
    Refused<'a>: DEBUG "console.refused" { display peer: SocketAddr, display status: StatusCode } (why: &'a dyn Display)
        "the console refuses a request: {why}";
    /// The browser gets status 500. A fault of framegate: report it.
    AnswerUnwritable<'a>: ERROR "console.answer_unwritable" (error: &'a dyn Display)
        "an answer of the console cannot be written as JSON: {error}";
    /// The browser gets status 500. The error says what is missing; `framegate support-bundle` makes one too.
    NoBundle<'a>: ERROR "console.no_bundle" (error: &'a str)
        "no support bundle could be made: {error}";
}
