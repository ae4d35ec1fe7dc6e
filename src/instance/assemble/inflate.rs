//! Deflated transfer syntaxes (PS3.5 §A.5): the whole data set is one raw DEFLATE stream.
//!
//! Output is taken in small portions, so that a bomb grows no buffer: what is inflated goes
//! through the same bounds as bytes from the wire.

use bytes::{Buf, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};

use super::AssembleError;

const INPUT: usize = 32 << 10;
const OUTPUT: usize = 64 << 10;

/// A raw DEFLATE stream on its way in.
#[derive(Debug)]
pub(super) struct Inflater {
    stream: Decompress,
    input: BytesMut,
    ended: bool,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self { stream: Decompress::new(false), input: BytesMut::with_capacity(INPUT), ended: false }
    }

    pub(super) fn target(&mut self) -> (&mut BytesMut, usize) {
        (&mut self.input, INPUT)
    }

    /// Whether the stream's last block is in.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Inflates at most one portion of what has come.
    pub(super) fn inflate_into(&mut self, output: &mut BytesMut) -> Result<(), AssembleError> {
        if self.ended {
            // One padding byte makes the stream even; nothing else may follow it.
            let padding = self.input.split();
            return if padding.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(AssembleError::Deflate) };
        }
        let (consumed, produced) = (self.stream.total_in(), self.stream.total_out());
        output.resize(OUTPUT, 0);
        let status = self
            .stream
            .decompress(&self.input, output, FlushDecompress::None)
            .map_err(|_| AssembleError::Deflate)?;
        self.input.advance((self.stream.total_in() - consumed) as usize);
        output.truncate((self.stream.total_out() - produced) as usize);
        self.ended = status == Status::StreamEnd;
        Ok(())
    }
}
