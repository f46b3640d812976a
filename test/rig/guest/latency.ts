/**
 * When things happened, by the kernel's own clock: a report of the keypad came, a packet came, the panel was written, a line
 * was driven. For information only.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const INSTANCE = '/sys/kernel/tracing/instances/latency'
const EVENTS = {
  'report': 'xhci-hcd/xhci_urb_giveback',
  'packet': 'net/netif_receive_skb',
  'picture': 'syscalls/sys_exit_pwrite64',
  'line': 'gpio/gpio_value',
} as const

export interface Happened {
  readonly what: keyof typeof EVENTS
  /** Milliseconds. */
  readonly at: number
  readonly text: string
}

/** A buffer of its own: the other one is read all the time. */
export function beginWatch(): { end(): readonly Happened[] } {
  mkdirSync(INSTANCE, { recursive: true })
  const set = (file: string, value: string): void => { writeFileSync(join(INSTANCE, file), value) }
  set('trace_clock', 'mono')
  set('trace', '')
  for (const event of Object.values(EVENTS)) set(`events/${event}/enable`, '1')
  return {
    end() {
      for (const event of Object.values(EVENTS)) set(`events/${event}/enable`, '0')
      return readFileSync(join(INSTANCE, 'trace'), 'utf8').split('\n').flatMap(happened)
    },
  }
}

const NAMES = { xhci_urb_giveback: 'report', netif_receive_skb: 'packet', sys_pwrite64: 'picture', gpio_value: 'line' } as const

/** `node-81 [000] ..... 61.123456: sys_pwrite64 -> 0x177000` */
function happened(line: string): readonly Happened[] {
  const [, seconds, name, text = ''] = /\s(\d+\.\d+): (\w+)(.*)$/.exec(line) ?? []
  const what = Object.entries(NAMES).find(([event]) => event === name)?.[1]
  return what === undefined ? [] : [{ what, at: Number(seconds) * 1000, text }]
}

export const median = (numbers: readonly number[]): number | undefined => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]
