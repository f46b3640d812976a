/** Whoever else could read keys on a Linux machine: programs on its input devices, and a login on its console. */
import { spawn } from 'node:child_process'
import { constants, closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

export interface Overheard {
  /** Keys that input devices told of, by the kernel's numbers. */
  readonly keys: readonly number[]
  /** What somebody who reads the console got. */
  readonly console: string
}

const EVENT_BYTES = 24
const EV_KEY = 1
const PRESSED = 1

/** Listens at everything that is there now. The console hands out whole lines, so press Enter before the end. */
export async function eavesdrop(): Promise<{ end(): Promise<Overheard> }> {
  const devices = readdirSync('/dev/input').filter((name) => name.startsWith('event'))
    .map((name) => openSync(`/dev/input/${name}`, constants.O_RDONLY | constants.O_NONBLOCK))
  const login = spawn('sh', ['-c', 'echo reading; exec cat'], { stdio: [openSync('/dev/tty1', constants.O_RDONLY), 'pipe', 'ignore'] })
  let read = ''
  await new Promise<void>((resolve) => {
    login.stdout?.setEncoding('utf8').on('data', (text: string) => {
      read += text
      resolve()
    })
  })
  return {
    async end() {
      await pause(SETTLE_MS)
      login.kill()
      const keys = devices.flatMap(keysOf)
      for (const device of devices) closeSync(device)
      return { keys, console: read.replace(/^reading\n/, '') }
    },
  }
}

/** By then a key that was typed to the console has been read. */
const SETTLE_MS = 300

function keysOf(device: number): readonly number[] {
  const keys: number[] = []
  const event = Buffer.alloc(EVENT_BYTES * 64)
  try {
    for (let bytes = 1; bytes > 0;) {
      bytes = readSync(device, event)
      for (let at = 0; at < bytes; at += EVENT_BYTES) {
        if (event.readUInt16LE(at + 16) === EV_KEY && event.readInt32LE(at + 20) === PRESSED) keys.push(event.readUInt16LE(at + 18))
      }
    }
  } catch {
    return keys // Nothing more to read, or the device went away.
  }
  return keys
}
