/** A keypad of any make and shape, by the kernel's uhid: it is a HID device like any other, but on no USB bus. */
import { closeSync, openSync, writeSync } from 'node:fs'

export interface UhidKeypad {
  /** The keys that are down, by their HID usages; none lets all go. */
  report(...usages: readonly number[]): void
  unplug(): void
}

const CREATE2 = 11, DESTROY = 1, INPUT2 = 12 // linux/uhid.h
const BUS_USB = 3
const REPORT_ID = 1

/**
 * Reports of 9 bytes: an id, modifiers, a byte for nothing, six keys up to 0xff -- as pads with a 00 key send them.
 * HID 1.11, appendix B.1, with a report id (6.2.2.7).
 */
const DESCRIPTOR = Buffer.from([
  0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x85, REPORT_ID,
  0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02,
  0x95, 0x01, 0x75, 0x08, 0x81, 0x03,
  0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x26, 0xff, 0x00, 0x05, 0x07, 0x19, 0x00, 0x2a, 0xff, 0x00, 0x81, 0x00, 0xc0,
])

export function plugInUhidKeypad({ vendor, product }: { readonly vendor: number; readonly product: number }): UhidKeypad {
  const file = openSync('/dev/uhid', 'r+')
  // type, name[128], phys[64], uniq[64], rd_size, bus, vendor, product, version, country, rd_data[4096]
  const create = Buffer.alloc(4 + 128 + 64 + 64 + 2 + 2 + 4 * 4 + 4096)
  create.writeUInt32LE(CREATE2, 0)
  create.write('Rig keypad with 00', 4)
  create.write('rig/0', 132)
  create.writeUInt16LE(DESCRIPTOR.length, 260)
  create.writeUInt16LE(BUS_USB, 262)
  create.writeUInt32LE(vendor, 264)
  create.writeUInt32LE(product, 268)
  DESCRIPTOR.copy(create, 280)
  writeSync(file, create)
  return {
    report(...usages) {
      const report = Buffer.alloc(9)
      report[0] = REPORT_ID
      report.set(usages.slice(0, 6), 3)
      const input = Buffer.alloc(6 + report.length)
      input.writeUInt32LE(INPUT2, 0)
      input.writeUInt16LE(report.length, 4)
      report.copy(input, 6)
      writeSync(file, input)
    },
    unplug() {
      const destroy = Buffer.alloc(4)
      destroy.writeUInt32LE(DESTROY, 0)
      writeSync(file, destroy)
      closeSync(file)
    },
  }
}
