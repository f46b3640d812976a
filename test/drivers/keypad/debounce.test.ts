import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Contact, debounce, isStuck, SAMPLES, settled, STUCK_MS } from '../../../drivers/keypad/debounce.js'

const after = (samples: readonly boolean[], from: Contact): Contact =>
  samples.reduce((contact, closed, index) => debounce(contact, closed, index), from)
const times = (many: number, closed: boolean): boolean[] => Array.from({ length: many }, () => closed)

describe('a contact', () => {
  test.each([true, false])('changes when enough samples in a row say so, and not before (from down: %s)', (down) => {
    expect(after(times(SAMPLES - 1, !down), settled(down, 0)).down).toBe(down)
    expect(after(times(SAMPLES, !down), settled(down, 0))).toEqual(settled(!down, SAMPLES - 1))
  })

  test('is not changed by samples that contradict each other, however many there are', () => {
    const noise = Array.from({ length: 50 }, () => [...times(SAMPLES - 1, true), false]).flat()
    expect(after(noise, settled(false, 0)).down).toBe(false)
  })

  test('changes once for each time that it really moved, whatever bounces in between', () => {
    const bounce = fc.array(fc.boolean(), { maxLength: SAMPLES - 1 })
    fc.assert(fc.property(fc.array(fc.record({ bounce, rest: fc.integer({ min: SAMPLES, max: 9 }) }), { maxLength: 12 }), (moves) => {
      let contact = settled(false, 0)
      let changes = 0
      for (const [index, { bounce: bounced, rest }] of moves.entries()) {
        for (const closed of [...bounced, ...times(rest, index % 2 === 0)]) {
          const next = debounce(contact, closed, 0)
          if (next.down !== contact.down) changes++
          contact = next
        }
      }
      expect(changes).toBe(moves.length)
    }))
  })

  test('is stuck when it was down for longer than anybody presses', () => {
    expect(isStuck(settled(true, 5), 5 + STUCK_MS - 1)).toBe(false)
    expect(isStuck(settled(true, 5), 5 + STUCK_MS)).toBe(true)
    expect(isStuck(settled(false, 5), 5 + STUCK_MS)).toBe(false)
  })
})
