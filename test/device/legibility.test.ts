import { describe, expect, test } from 'vitest'
import { CONTRAST_MIN, contrastOn, contrastRatio, DEPTH_MIN, letterMmAt, readableMm } from '../../device/legibility.js'

describe('letters of 0.7 degrees', () => {
  // The table of EN 301 549, 5.1.4, as the terminal's papers quote it.
  test.each([[400, 4.9], [500, 6.1], [600, 7.3]])('at %d mm are %d mm high', (distance, height) => {
    expect(letterMmAt(distance)).toBeCloseTo(height, 1)
  })

  test('are reached by dots times pitch', () => {
    expect(readableMm(24, 0.212)).toBeCloseTo(416, 0)
    expect(letterMmAt(readableMm(24, 0.212))).toBeCloseTo(24 * 0.212, 9)
  })
})

describe('contrast', () => {
  test('of ink and ground on an LCD is the highest there is', () => {
    expect(contrastRatio(0, 1)).toBeCloseTo(21, 9)
  })

  test.each(['eink', 'framebuffer'] as const)('of ink and ground is enough for text, and for a camera: %s', (glass) => {
    expect(contrastOn(glass).ratio).toBeGreaterThanOrEqual(CONTRAST_MIN)
    expect(contrastOn(glass).depth).toBeGreaterThanOrEqual(DEPTH_MIN)
  })

  test('on e-ink is six to one, as the standard counts it', () => {
    expect(contrastOn('eink').ratio).toBeCloseTo(6, 9)
  })

  test('of a grey on the same grey is none', () => {
    expect(contrastRatio(0.4, 0.4)).toBe(1)
  })
})
