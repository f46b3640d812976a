import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Input } from '../../../drivers/driver.js'
import {
  DOUBLE_ENTER_MS, guardDeadline, guardFault, guardMove, guardStart, type KeyMove, PRESSES_PER_SECOND_MAX, QUIET_MS, STUCK_MS,
} from '../../../drivers/keypad/key-guard.js'

const ENTER: Input = { type: 'enter pressed' }
const CLEAR: Input = { type: 'clear pressed' }
const digit = (text: string): Input => ({ type: 'digit pressed', digit: text })
const inputOf = (key: string): Input | undefined => (key === 'Enter' ? ENTER : /^\d+$/.test(key) ? digit(key) : undefined)

/** Fingers on a keypad, and what the shop sees of them. */
function createPad() {
  let state = guardStart
  const inputs: Input[] = []
  const move = (one: KeyMove, at: number): void => {
    const guarded = guardMove(state, one, at)
    state = guarded.state
    inputs.push(...guarded.inputs)
  }
  return {
    inputs,
    down: (key: string, at: number) => move({ move: 'pressed', key, input: inputOf(key) }, at),
    up: (key: string, at: number) => move({ move: 'released', key }, at),
    tap(key: string, at: number) {
      this.down(key, at)
      this.up(key, at)
    },
    fault: (at: number) => guardFault(state, at),
    deadline: (at: number) => guardDeadline(state, at),
    state: () => state,
  }
}

describe('a key that is held down', () => {
  test('is typed once, and is stuck after a while, until it is let go', () => {
    const pad = createPad()
    pad.down('5', 1_000)
    expect(pad.fault(1_000 + STUCK_MS - 1)).toBeUndefined()
    expect(pad.fault(1_000 + STUCK_MS)).toContain('key 5 is stuck')
    expect(pad.deadline(1_000)).toBe(1_000 + STUCK_MS)
    expect(pad.deadline(1_000 + STUCK_MS)).toBeUndefined()
    pad.up('5', 60_000)
    expect(pad.fault(60_000)).toBeUndefined()
    expect(pad.inputs).toEqual([digit('5')])
  })

  test('leaves the others working', () => {
    const pad = createPad()
    pad.down('5', 0)
    pad.tap('7', STUCK_MS + 5)
    pad.tap('Enter', STUCK_MS + 900)
    expect(pad.inputs).toEqual([digit('5'), digit('7'), ENTER])
    expect(pad.fault(STUCK_MS + 900)).toContain('key 5 is stuck')
  })

  test('is told with the others that are', () => {
    const pad = createPad()
    pad.down('5', 0)
    pad.down('with usage 2b', 10)
    expect(pad.fault(STUCK_MS + 10)).toContain('keys 5, with usage 2b are stuck')
  })

  test('is not pressed again before it was let go', () => {
    const pad = createPad()
    for (const at of [0, 10, 20]) pad.down('5', at)
    expect(pad.inputs).toEqual([digit('5')])
    expect(pad.fault(STUCK_MS)).toBeDefined()
  })
})

describe('keys that come faster than fingers are', () => {
  const flood = (pad: ReturnType<typeof createPad>, from: number, presses: number): number => {
    for (let i = 0; i < presses; i++) pad.tap(String(i % 10), from + i)
    return from + presses - 1
  }

  test('are cleared once, and nothing of them is typed any more', () => {
    const pad = createPad()
    flood(pad, 0, 5_000)
    expect(pad.inputs).toHaveLength(PRESSES_PER_SECOND_MAX + 1)
    expect(pad.inputs.at(-1)).toEqual(CLEAR)
  })

  test('are a fault until it was quiet for a while', () => {
    const pad = createPad()
    const last = flood(pad, 0, 500)
    expect(pad.fault(last)).toContain('faster than a person')
    expect(pad.deadline(last)).toBe(last + QUIET_MS)
    expect(pad.fault(last + QUIET_MS - 1)).toBeDefined()
    expect(pad.fault(last + QUIET_MS)).toBeUndefined()
    expect(pad.deadline(last + QUIET_MS)).toBeUndefined()
    const before = pad.inputs.length
    pad.tap('7', last + QUIET_MS)
    expect(pad.inputs.slice(before)).toEqual([digit('7')])
  })

  test('are a fault for as long as they come, however long that is', () => {
    const pad = createPad()
    let at = flood(pad, 0, 100)
    const before = pad.inputs.length
    for (let i = 0; i < 100; i++) {
      at += QUIET_MS - 1
      pad.tap('7', at)
      expect(pad.fault(at)).toBeDefined()
    }
    expect(pad.inputs).toHaveLength(before)
  })

  test('are counted whatever they mean, and remembered no longer than needed', () => {
    const pad = createPad()
    for (let i = 0; i <= PRESSES_PER_SECOND_MAX; i++) pad.tap('F1', i)
    expect(pad.inputs).toEqual([CLEAR])
    for (let i = 0; i < 100_000; i++) pad.tap('F1', 10_000 + i)
    expect(pad.state().recent.length).toBeLessThanOrEqual(PRESSES_PER_SECOND_MAX)
    expect(pad.state().down.size).toBe(0)
  })

  test('do not come from a 000 key, not even in a hurry', () => {
    const pad = createPad()
    for (let i = 0; i < 12; i++) for (const ms of [0, 2, 4]) pad.tap('0', i * 80 + ms)
    expect(pad.inputs).toEqual(Array.from({ length: 36 }, () => digit('0')))
  })
})

describe('Enter', () => {
  test('twice in a hurry is one', () => {
    const pad = createPad()
    pad.tap('Enter', 0)
    pad.tap('Enter', DOUBLE_ENTER_MS - 1)
    expect(pad.inputs).toEqual([ENTER])
    pad.tap('Enter', 2 * DOUBLE_ENTER_MS - 1)
    expect(pad.inputs).toEqual([ENTER, ENTER])
  })

  test('with another key between is two', () => {
    const pad = createPad()
    pad.tap('Enter', 0)
    pad.tap('7', 10)
    pad.tap('Enter', 20)
    expect(pad.inputs).toEqual([ENTER, digit('7'), ENTER])
  })
})

test('what a person types is what the shop sees, once and in order, with fingers that overlap', () => {
  const tap = fc.record({
    key: fc.constantFrom('0', '1', '5', '9', '00', '000', 'Enter', '+'), pauseMs: fc.integer({ min: 60, max: 3_000 }), heldMs: fc.integer({ min: 20, max: 400 }),
  })
  fc.assert(fc.property(fc.array(tap, { maxLength: 60 }), (taps) => {
    const pad = createPad()
    const expected: Input[] = []
    const held = new Map<string, number>()
    let at = 0
    let enterAt = -Infinity
    for (const { key, pauseMs, heldMs } of taps) {
      at += pauseMs
      for (const [other, until] of held) {
        if (until > at && other !== key) continue
        pad.up(other, Math.min(until, at))
        held.delete(other)
      }
      pad.down(key, at)
      held.set(key, at + heldMs)
      const input = inputOf(key)
      if (input !== undefined && !(key === 'Enter' && at - enterAt < DOUBLE_ENTER_MS)) expected.push(input)
      enterAt = key === 'Enter' ? at : -Infinity
    }
    expect(pad.inputs).toEqual(expected)
    expect(pad.fault(at)).toBeUndefined()
  }))
})

test('whatever moves come, at whatever times, what is wrong changes only at a move or when it was said to', () => {
  const anything = fc.record({ key: fc.constantFrom('1', '2', 'Enter'), pressed: fc.boolean(), afterMs: fc.oneof(fc.nat(30), fc.nat(40_000)) })
  fc.assert(fc.property(fc.array(anything, { maxLength: 120 }), fc.array(fc.nat(40_000), { maxLength: 5 }), (moves, looks) => {
    const pad = createPad()
    let at = 0
    for (const { key, pressed, afterMs } of moves) {
      at += afterMs
      if (pressed) pad.down(key, at)
      else pad.up(key, at)
    }
    for (const lookMs of looks) {
      const deadline = pad.deadline(at)
      if (deadline !== undefined) expect(deadline).toBeGreaterThan(at)
      if (deadline === undefined || at + lookMs < deadline) expect(pad.fault(at + lookMs)).toBe(pad.fault(at))
    }
  }))
})
