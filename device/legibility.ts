/**
 * From how far a text can be read, by EN 301 549, 5.1.4: letters of at least 0.7 degrees, and a contrast that tells ink
 * from ground. Pure; takes the letters as they were drawn.
 */

const LETTER_DEGREES = 0.7

/** How high a letter must be for an eye so far away: 4.9 mm at 400 mm. */
export const letterMmAt = (distanceMm: number): number => distanceMm * Math.tan(LETTER_DEGREES * Math.PI / 180)

/** The distance up to which letters of so many dots meet it. */
export const readableMm = (letterPx: number, pitchMm: number): number => letterPx * pitchMm / letterMmAt(1)

/** Of two greys of 0 (ink that gives no light back) to 1, by WCAG 2.1, "contrast ratio": 1 to 21. */
export function contrastRatio(darker: number, lighter: number): number {
  return (lighter + 0.05) / (darker + 0.05)
}
