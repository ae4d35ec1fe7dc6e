//! Push: instances to configured destinations.
