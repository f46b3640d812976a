/**
 * Watches the announced lengths of MQTT packets in a stream of bytes. A parser collects a packet before it looks at it,
 * so whoever may announce 256 MB fills our memory; both ends look first. Pure: it keeps count, and does nothing else.
 */
import { MESSAGE_BYTES_MAX } from './wire.js'

/** One message, its topic and its packet header. */
export const PACKET_BYTES_MAX = MESSAGE_BYTES_MAX + 512

/** Takes the bytes of one connection as they come, however they are cut; tells the first length that is beyond the bound. */
export type PacketBound = (chunk: Uint8Array) => number | undefined

/** Fixed header: one byte of type, then the remaining length in 1 to 4 bytes of 7 bits, least first [MQTT-2.2.3]. */
export function createPacketBound(bytesMax: number): PacketBound {
  let rest = 0            // Bytes of the current packet still to come.
  let lengthBytes = -1    // -1: the next byte is a packet's type; 0..3: reading its length.
  let length = 0

  return (chunk) => {
    for (let at = 0; at < chunk.length;) {
      if (rest > 0) {
        const taken = Math.min(rest, chunk.length - at)
        rest -= taken
        at += taken
        continue
      }
      const byte = chunk[at++] ?? 0
      if (lengthBytes < 0) { lengthBytes = 0; length = 0; continue }
      length += (byte & 0x7f) * 128 ** lengthBytes
      lengthBytes++
      if (length > bytesMax || (lengthBytes === 4 && byte >= 0x80)) return length
      if (byte < 0x80) { rest = length; lengthBytes = -1 }
    }
    return undefined
  }
}
