import { parseMetaJson, quoteLongInts } from '../../src/meta/json';

describe('parseMetaJson', () => {
  it('keeps every digit of an id above 2^53', () => {
    expect(parseMetaJson('{"user_id":17841455500011123,"list":[-17841455500011123]}')).toEqual({
      user_id: '17841455500011123',
      list: ['-17841455500011123'],
    });
  });

  it('leaves times, fractions, powers and text alone', () => {
    const json =
      '{"at":1795000000000,"x":12345678901234567.5,"y":1e20,"t":"id 17841455500011123 \\" 17841455500011123"}';
    expect(quoteLongInts(json)).toBe(json);
  });

  it('keeps backslashes at the end of a string', () => {
    expect(parseMetaJson('{"a":"\\\\","b":17841455500011123}')).toEqual({ a: '\\', b: '17841455500011123' });
  });

  it('refuses what is not JSON, however large and however quoted', () => {
    expect(() => parseMetaJson('')).toThrow(SyntaxError);
    expect(() => parseMetaJson('{"error":{"mess')).toThrow(SyntaxError);
    const startedAt = Date.now();
    expect(() => parseMetaJson(`"${'\\"'.repeat(2_000_000)}`)).toThrow(SyntaxError);
    expect(Date.now() - startedAt).toBeLessThan(2000);
  });
});
