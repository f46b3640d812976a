/**
 * The USB keypad driver in a process of its own, since node-hid goes one way (libusb or hidraw) for good. Prints what it
 * delivers and reports, a line each; its argument says which keypad.
 */
import { createUsbKeypad } from '../../../drivers/keypad/usb.js'
import { alarm, LOG, now } from './check.js'

// The checks that start this program write what the driver takes.
const which = JSON.parse(process.argv[2] ?? '') as Pick<Parameters<typeof createUsbKeypad>[0], 'device' | 'exclusive'>
const say = (line: object): void => { console.log(JSON.stringify(line)) }
const keypad = createUsbKeypad({ ...which, log: LOG, now, alarm, report: (fault) => { say({ fault: fault ?? 'none' }) } })
await keypad.start((input) => { say({ input }) })
