/**
 * A line by its number, through `onoff` (loaded only when wanted): the files of /sys/class/gpio/gpio<number>, and epoll.
 *
 * What onoff leaves to us: on a line that an earlier run left behind it is silent about settings that fail; and an error in
 * the middle of an edge is thrown where nobody can catch it.
 */
import type { Gpio } from 'onoff'
import { codeOf, type Direction, gpioFailure, type Line } from './gpio-line.js'

export type OpenGpio = new (number: number, direction: Direction) =>
  Pick<Gpio, 'readSync' | 'writeSync' | 'setDirection' | 'setActiveLow' | 'setEdge' | 'watch' | 'unwatchAll' | 'unexport'>

/** udev may give the group one file of a line a moment later than another; onoff itself tries 10 000 times. */
const PERMISSION_TRIES = 1_000

export function openByNumber(Line: OpenGpio, number: number, direction: Direction): Line {
  for (let tries = 1; ; tries++) {
    const gpio = new Line(number, direction)
    try {
      gpio.setDirection(direction)
      gpio.setActiveLow(false)
      return lineOf(gpio)
    } catch (error) {
      // An earlier run left it so that it does not turn, such as an input that is watched: given back, it is as new.
      gpio.unexport()
      if (tries === 2) throw error
    }
  }
}

function lineOf(gpio: InstanceType<OpenGpio>): Line {
  const read = gpio.readSync.bind(gpio)
  return {
    turn: (direction) => gpio.setDirection(direction),
    read,
    write: (level) => gpio.writeSync(level),
    watch(changed) {
      gpio.unwatchAll()
      if (!tellsEdges(gpio)) return false
      // onoff reads before it calls. A chip that is gone (one on USB) makes that throw, and would do so without end.
      gpio.readSync = () => {
        try {
          return read()
        } catch {
          gpio.unwatchAll()
          changed()
          return 0
        }
      }
      read() // What changed up to now is no news.
      gpio.watch(() => changed())
      return true
    },
    release: () => gpio.unexport(),
  }
}

/** Both edges, whatever is wanted: for one alone onoff drops pulses that are over before it has read the level. */
function tellsEdges(gpio: InstanceType<OpenGpio>): boolean {
  for (let tries = 1; ; tries++) {
    try {
      gpio.setEdge('both')
      return true
    } catch (error) {
      if (codeOf(error) !== 'EACCES' || tries === PERMISSION_TRIES) return false
    }
  }
}

export async function loadOnoff(): Promise<OpenGpio> {
  try {
    return (await import('onoff')).Gpio
  } catch (error) {
    throw gpioFailure('the package onoff cannot be loaded: is it installed, and built for this Node?', error)
  }
}
