/**
 * A line by its place on its chip: the files of /sys/class/gpio/chip<id>/gpio<offset> that kernels have from 6.17 on.
 *
 * They tell of no edges. They also come without an event for udev, so that a new line belongs to root alone
 * (drivers/gpio/gpiolib-sysfs.c, 6.18): a program that is not root needs them exported and handed over before it starts.
 */
import { closeSync, existsSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Direction, Line } from './gpio-line.js'

/** `write` puts a text into a file of the kernel. */
export function openByOffset(chip: string, offset: number, direction: Direction, write: (path: string, text: string) => void = writeFileSync): Line {
  const folder = join(chip, `gpio${offset}`)
  const turn = (to: Direction): void => write(join(folder, 'direction'), to)
  const giveBack = (): void => {
    try {
      write(join(chip, 'unexport'), String(offset))
    } catch { /* Root exported it, and it stays ready for the next run. */ }
  }
  for (let tries = 1; ; tries++) {
    // It is there already when the last run was killed, or when root exported it.
    if (!existsSync(folder)) write(join(chip, 'export'), String(offset))
    try {
      turn(direction)
      return lineOf(openSync(join(folder, 'value'), direction === 'in' ? 'r' : 'r+'), turn, giveBack)
    } catch (error) {
      giveBack()
      if (tries === 2) throw error
    }
  }
}

const ZERO = '0'.charCodeAt(0)

function lineOf(value: number, turn: Line['turn'], giveBack: () => void): Line {
  const byte = Buffer.alloc(1)
  return {
    turn,
    read() {
      readSync(value, byte, 0, 1, 0)
      return byte[0] === ZERO ? 0 : 1
    },
    write: (level) => { writeSync(value, String(level), 0) },
    watch: () => false,
    release() {
      closeSync(value)
      giveBack()
    },
  }
}
