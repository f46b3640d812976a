/**
 * What the machine under test cannot do by itself: press its keys, pull its plugs, look at its panel, pay. The checks run
 * inside and ask for it; the host does it (world.ts). Every question and answer is one line of JSON on a virtio port.
 */
import { z } from 'zod'

/** What can be plugged in and out while the machine runs. */
export type Plug = 'keypad' | 'twin keypad' | 'adapter'

/** The lines of a cash register: the serial port of the board, and a USB adapter. */
export type Line = 'port' | 'adapter'

export interface Look {
  /** What a phone reads off the panel. */
  readonly code?: string
  /** Of all dots, 0..1. */
  readonly dark: number
  /** Two looks at the same picture have the same. */
  readonly fingerprint: string
}

/** A transfer on the SPI bus, or a level of the panel's reset line, in the order of time. */
export type Wire =
  | { readonly dc: 0 | 1; readonly bytes: string }
  | { readonly reset: 0 | 1 }

/** What a shop gives its terminal. */
export interface Papers {
  readonly site: object
  readonly identity: object
}

export interface Outside {
  /** Presses and releases keys of the first USB keypad, by QEMU's names for them. */
  press(keys: readonly string[]): Promise<void>
  plug(what: Plug): Promise<void>
  unplug(what: Plug): Promise<void>
  look(): Promise<Look>
  /** Looks until there is a code on the panel. */
  awaitCode(): Promise<string>
  /** Sandbox and gateway, once they are open; the terminal reaches them over the machine's network. */
  shop(): Promise<Papers>
  /** A customer's wallet; resolves with the charge. */
  pay(code: string): Promise<string>
  /** The register sends it; resolves with what came back, up to the end of its line. */
  ringUp(sent: { readonly line: Line; readonly text: string }): Promise<string>
  /** Plays what went over the wires to an emulated panel of that model, and reads the code off its glass. */
  readGlass(shown: { readonly model: string; readonly wires: readonly Wire[] }): Promise<string>
}

export const QUESTIONS = ['press', 'plug', 'unplug', 'look', 'awaitCode', 'shop', 'pay', 'ringUp', 'readGlass'] as const satisfies
  readonly (keyof Outside)[]

/** From the machine to the host. */
export const FromGuest = z.discriminatedUnion('say', [
  z.object({ say: z.literal('question'), id: z.int(), name: z.enum(QUESTIONS), argument: z.unknown().optional() }),
  z.object({ say: z.literal('check'), name: z.string(), failure: z.string().optional() }),
  z.object({ say: z.literal('measure'), text: z.string() }),
  z.object({ say: z.literal('end') }),
])
export type FromGuest = z.infer<typeof FromGuest>

/** From the host: first what to run, then answers. */
export const ToGuest = z.discriminatedUnion('say', [
  z.object({ say: z.literal('begin'), label: z.string(), only: z.enum(['all', 'drivers']), matching: z.string() }),
  z.object({ say: z.literal('answer'), id: z.int(), value: z.unknown().optional() }),
  z.object({ say: z.literal('refusal'), id: z.int(), why: z.string() }),
])
export type ToGuest = z.infer<typeof ToGuest>
